package api

const (
	sourcePath         = "/source/{source_id}"
	requestPath        = "/request/{request_id}"
	ingestRoot         = "/ingest/api/v1"
	ingestEndpointPath = sourcePath + "/endpoint/{endpoint_id}"
)

func sourceOperations() []operation {
	const tag, request = "Source", "Request"
	requests := with(paging, period[0], period[1], param{"status", textType, "accepted, rejected or duplicate."},
		param{"cause", textType, "Only those rejected for this reason."}, filters[0])
	all := []operation{
		{method: "GET", path: "/provider", id: "hark.provider.list", may: "source.list", tag: tag, summary: "List the providers whose webhooks can be verified", access: operator, status: is200, handler: does(listProviders)},
		{method: "GET", path: "/source", id: "hark.source.list", may: "source.list", tag: tag, summary: "List sources", access: operator, status: is200,
			query: with(ordered, param{"application_id", textType, "Only this application's."}, param{"status", textType, "enabled, failing (nothing of what comes can be verified) or disabled."}), handler: does(listSources)},
		{method: "POST", path: "/source", id: "hark.source.create", may: "source.create", tag: tag, summary: "Create a source", doc: "The answer has the URL to give to the provider.", access: operator, status: is201, handler: does(createSource)},
		{method: "GET", path: sourcePath, id: "hark.source.get", may: "source.get", tag: tag, summary: "Get a source", access: operator, status: is200, handler: does(getSource)},
		{method: "PATCH", path: sourcePath, id: "hark.source.patch", may: "source.patch", tag: tag, summary: "Change a source", access: operator, status: is200, handler: does(patchSource)},
		{method: "DELETE", path: sourcePath, id: "hark.source.delete", may: "source.delete", tag: tag, summary: "Delete a source", doc: "The messages that came from it stay.", access: operator, status: is204, handler: does(deleteSource)},
		{method: "POST", path: sourcePath + "/token/rotate", id: "hark.source.rotate-token", may: "source.token.rotate", tag: tag, summary: "Give a source a new URL", doc: "The old one works for 48 hours more.",
			access: operator, status: is200, optionalBody: true, handler: does(rotateSourceToken)},
		{method: "POST", path: sourcePath + "/secret/rotate", id: "hark.source.rotate-secret", may: "source.secret.rotate", tag: tag, summary: "Tell a source the provider's new secret", access: operator, status: is200, handler: does(rotateSourceSecret)},

		{method: "GET", path: "/request", id: "hark.request.list-all", may: "request.list", tag: request, summary: "List the requests of all sources, newest first", access: operator, status: is200, query: with(requests, param{"application_id", textType, "Only what came to this application's sources."}), handler: does(listRequests)},
		{method: "GET", path: sourcePath + "/request", id: "hark.request.list", may: "request.list", tag: request, summary: "List a source's requests, newest first", access: operator, status: is200, query: requests, handler: does(listRequests)},
	}
	for _, of := range [...]string{"", sourcePath} { // an id is enough; its source may be there
		group := "hark.request"
		if of != "" {
			group = "hark.source.request"
		}
		all = append(all,
			operation{method: "GET", path: of + requestPath, id: group + ".get", may: "request.get", tag: request, summary: "Get a request with headers and body", access: operator, status: is200, hidden: of != "", handler: does(getRequest)},
			operation{method: "GET", path: of + requestPath + "/body", id: group + ".get-body", may: "request.get", tag: request, summary: "Get a request's body as it came", access: operator, status: is200, hidden: of != "", handler: raw[none, octets](getRequestBody)},
			operation{method: "POST", path: of + requestPath + "/accept", id: group + ".accept", may: "request.accept", tag: request, summary: "Make a message of a rejected request, or of a duplicate", access: operator, status: is200, optionalBody: true, hidden: of != "", handler: does(acceptRequest)},
			operation{method: "DELETE", path: of + requestPath + "/content", id: group + ".expunge-content", may: "request.expunge", tag: request, summary: "Delete a request's headers and body", access: operator, status: is204, hidden: of != "", handler: does(expungeRequest)},
		)
	}
	return all
}

// ingestOperations are what the clients made for Svix call.
func ingestOperations() []operation {
	const tag = "Ingest"
	all := []operation{
		{method: "GET", path: "/source", id: "v1.ingest.source.list", may: "source.list", tag: tag, summary: "List sources", access: operator, status: is200, query: ordered, handler: does(listIngestSources)},
		{method: "POST", path: "/source", id: "v1.ingest.source.create", may: "source.create", tag: tag, summary: "Create a source", access: operator, status: is201, handler: does(createIngestSource)},
		{method: "GET", path: sourcePath, id: "v1.ingest.source.get", may: "source.get", tag: tag, summary: "Get a source", access: operator, status: is200, handler: does(getIngestSource)},
		{method: "PUT", path: sourcePath, id: "v1.ingest.source.update", may: "source.upsert", tag: tag, summary: "Replace a source, or create it", access: operator, status: is200or201, makesApp: true, handler: does(putIngestSource)},
		{method: "DELETE", path: sourcePath, id: "v1.ingest.source.delete", may: "source.delete", tag: tag, summary: "Delete a source", access: operator, status: is204, handler: does(deleteSource)},
		{method: "POST", path: sourcePath + "/token/rotate", id: "v1.ingest.source.rotate-token", may: "source.token.rotate", tag: tag, summary: "Give a source a new URL", access: operator, status: is200, optionalBody: true, handler: does(rotateIngestToken)},
		{method: "POST", path: sourcePath + "/dashboard", id: "v1.ingest.dashboard", may: "portal.access", tag: tag, summary: "Get a token of a source's application", access: operator, status: is200, optionalBody: true, handler: does(ingestDashboard)},
		{method: "GET", path: sourcePath + "/endpoint", id: "v1.ingest.endpoint.list", may: "endpoint.list", tag: tag, summary: "List a source's endpoints", access: operator, status: is200, query: ordered, handler: does(listIngestEndpoints)},
		{method: "POST", path: sourcePath + "/endpoint", id: "v1.ingest.endpoint.create", may: "endpoint.create", tag: tag, summary: "Create an endpoint", access: operator, status: is201, handler: does(ofSource(createIngestEndpoint))},
		{method: "GET", path: ingestEndpointPath, id: "v1.ingest.endpoint.get", may: "endpoint.get", tag: tag, summary: "Get an endpoint", access: operator, status: is200, handler: does(ofSource(getIngestEndpoint))},
		{method: "PUT", path: ingestEndpointPath, id: "v1.ingest.endpoint.update", may: "endpoint.upsert", tag: tag, summary: "Replace an endpoint", access: operator, status: is200, handler: does(ofSource(putIngestEndpoint))},
		{method: "DELETE", path: ingestEndpointPath, id: "v1.ingest.endpoint.delete", may: "endpoint.delete", tag: tag, summary: "Delete an endpoint", access: operator, status: is204, handler: does(ofSource(deleteIngestEndpoint))},
		{method: "GET", path: ingestEndpointPath + "/secret", id: "v1.ingest.endpoint.get-secret", may: "endpoint.secret.get", tag: tag, summary: "Get an endpoint's signing secret", access: operator, status: is200, handler: does(ofSource(getIngestSecret))},
		{method: "POST", path: ingestEndpointPath + "/secret/rotate", id: "v1.ingest.endpoint.rotate-secret", may: "endpoint.secret.rotate", tag: tag, summary: "Rotate an endpoint's signing secret", access: operator, status: is204, optionalBody: true, handler: does(ofSource(rotateIngestSecret))},
		{method: "GET", path: ingestEndpointPath + "/headers", id: "v1.ingest.endpoint.get-headers", may: "endpoint.headers.get", tag: tag, summary: "Get an endpoint's headers", access: operator, status: is200, handler: does(ofSource(getIngestHeaders))},
		{method: "PUT", path: ingestEndpointPath + "/headers", id: "v1.ingest.endpoint.update-headers", may: "endpoint.headers.set", tag: tag, summary: "Replace an endpoint's headers", access: operator, status: is204, handler: does(ofSource(putIngestHeaders))},
		{method: "GET", path: ingestEndpointPath + "/transformation", id: "v1.ingest.endpoint.get-transformation", may: "endpoint.transformation.get", tag: tag, summary: "Get an endpoint's transformation", access: operator, status: is200, handler: does(ofSource(getIngestTransformation))},
		{method: "PATCH", path: ingestEndpointPath + "/transformation", id: "v1.ingest.endpoint.set-transformation", may: "endpoint.transformation.set", tag: tag, summary: "Change an endpoint's transformation", access: operator, status: is204, handler: does(ofSource(patchIngestTransformation))},
	}
	for i := range all {
		all[i].root = ingestRoot
	}
	return all
}
