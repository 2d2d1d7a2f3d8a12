package api

import "testing"

func TestTransformation_IsReadAndChanged(t *testing.T) {
	w := newWorld(t)
	const path = "/app/a/endpoint/e/transformation"
	w.run([]step{
		{method: "POST", url: "/app", body: `{"name":"A","uid":"a"}`, status: 201},
		{method: "POST", url: "/app/a/endpoint", body: `{"url":"https://example.com","uid":"e"}`, status: 201},
		{method: "POST", url: "/app/a/consumer", body: `{"description":"d","uid":"k"}`, status: 201, save: "sink=id"},
		{method: "GET", url: path, status: 200, want: `{"code":null,"enabled":false,"variables":null,"updatedAt":null,"version":null}`},
		{method: "PATCH", url: path, body: `{"code":"function handler(w) { return w }","enabled":true,"variables":{"KEY":"value"}}`, status: 204},
		{method: "GET", url: path, status: 200, want: `{"code":"function handler(w) { return w }","enabled":true,"variables":{"KEY":"value"},"updatedAt":"*","version":1}`},
		{method: "PATCH", url: path, body: `{"enabled":false}`, status: 204},
		{method: "GET", url: path, status: 200, want: `{"code":"*","enabled":false,"variables":{"KEY":"value"},"version":1}`},
		{method: "PATCH", url: path, body: `{"code":"broken"}`, status: 422, want: `{"detail":[{"loc":["body","code"],"msg":"The script does not compile: it is broken (line 1, column 1).","type":"value_error"}]}`},
		{method: "PATCH", url: path, body: `{"code":""}`, status: 422},
		{method: "PATCH", url: path, body: `{"code":"a\u0000b"}`, status: 422},
		{method: "PATCH", url: path, body: `{"variables":{"":"x"}}`, status: 422},
		{method: "PATCH", url: path, body: `{"code":null,"variables":null}`, status: 204},
		{method: "GET", url: path, status: 200, want: `{"code":null,"enabled":false,"variables":null,"updatedAt":"*","version":1}`},
		{method: "PATCH", url: "/app/a/endpoint/k/transformation", body: `{"enabled":true}`, status: 400, want: `{"detail":"A consumer reads messages as they are: only endpoints have transformations."}`},
		{method: "GET", url: "/app/a/endpoint/{sink}/transformation", status: 400},
		{method: "GET", url: "/app/a/endpoint/nobody/transformation", status: 404},
	})
}

func TestTransformation_OfASourcesEndpoint(t *testing.T) {
	w := newWorld(t)
	const path = "/ingest/api/v1/source/s/endpoint/{endpoint}/transformation"
	w.run([]step{
		{method: "POST", url: "/ingest/api/v1/source", body: `{"name":"shop","uid":"s","type":"generic-webhook"}`, status: 201},
		{method: "POST", url: "/ingest/api/v1/source/s/endpoint", body: `{"url":"https://example.com"}`, status: 201, save: "endpoint=id"},
		{method: "GET", url: path, status: 200, want: `{"code":null,"enabled":false,"variables":null,"updatedAt":"-"}`},
		{method: "PATCH", url: path, body: `{"code":"function handler(w) { return w }","enabled":true}`, status: 204},
		{method: "GET", url: path, status: 200, want: `{"code":"function handler(w) { return w }","enabled":true,"variables":null}`},
	})
}
