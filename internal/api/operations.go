package api

import (
	"net/http"
	"reflect"
	"slices"
	"time"
)

// Query parameters that several operations share.
var (
	textType = reflect.TypeFor[string]()
	flagType = reflect.TypeFor[bool]()
	intType  = reflect.TypeFor[int]()
	listType = reflect.TypeFor[[]string]()
	timeType = reflect.TypeFor[time.Time]()

	paging = []param{
		{"limit", intType, "Most rows to answer: 1 to 250, 50 by default."},
		{"iterator", textType, "The iterator of the page before; with prevIterator it walks backwards."},
	}
	ordered        = with(paging, param{"order", textType, "ascending or descending."})
	period         = []param{{"before", timeType, "Only what is older."}, {"after", timeType, "Only what is newer."}}
	filters        = []param{{"event_types", listType, "Only these, comma-separated."}, {"channel", textType, "Only messages in this channel."}, {"tag", textType, "Only messages with this tag."}}
	contentParam   = param{"with_content", flagType, "false leaves the payloads or responses out."}
	expandedParam  = param{"expanded_statuses", flagType, "true tells canceled deliveries from successful ones."}
	endpointsParam = param{"with_endpoints", flagType, "true answers the endpoints that the message goes to."}
	messageParams  = slices.Concat(paging, period, filters, []param{contentParam})
	attemptParams  = with(messageParams, expandedParam,
		param{"status", intType, "0 success, 1 pending, 2 fail, 3 sending, 4 canceled."},
		param{"status_code_class", intType, "0 (no response), 100, 200, 300, 400 or 500."})
)

func with(params []param, more ...param) []param { return slices.Concat(params, more) }

// Usual statuses of success.
var (
	is200      = []int{http.StatusOK}
	is201      = []int{http.StatusCreated}
	is202      = []int{http.StatusAccepted}
	is204      = []int{http.StatusNoContent}
	is200or201 = []int{http.StatusOK, http.StatusCreated}
	is202or200 = []int{http.StatusAccepted, http.StatusOK}
)

// operations is the table that the API is made from.
func operations() []operation {
	return slices.Concat(applicationOperations(), endpointOperations(), consumerOperations(), eventTypeOperations(), messageOperations(),
		attemptOperations(), sourceOperations(), ingestOperations(), pollerOperations(), tailOperations(), taskOperations(), adminOperations())
}

const (
	appPath       = "/app/{app_id}"
	endpointPath  = appPath + "/endpoint/{endpoint_id}"
	msgPath       = appPath + "/msg/{msg_id}"
	eventTypePath = "/event-type/{event_type_name}"
)

func applicationOperations() []operation {
	const tag = "Application"
	return []operation{
		{method: "GET", path: "/app", id: "v1.application.list", may: "application.list", tag: tag, summary: "List applications", access: operator, status: is200,
			query: with(ordered,
				param{"exclude_apps_with_no_endpoints", flagType, "true leaves out those without an endpoint."},
				param{"exclude_apps_with_disabled_endpoints", flagType, "true leaves out those whose endpoints are all disabled."}),
			handler: does(listApplications)},
		{method: "POST", path: "/app", id: "v1.application.create", may: "application.create", tag: tag, summary: "Create an application", access: operator,
			status:  []int{http.StatusCreated, http.StatusOK},
			query:   []param{{"get_if_exists", flagType, "true answers the application that has the uid already, with 200."}},
			handler: does(createApplication)},
		{method: "GET", path: appPath, id: "v1.application.get", may: "application.get", tag: tag, summary: "Get an application", access: customer, status: is200, handler: does(getApplication)},
		{method: "PUT", path: appPath, id: "v1.application.update", makesApp: true, may: "application.upsert", tag: tag, summary: "Replace an application, or create it", access: operator, status: is200or201, handler: does(putApplication)},
		{method: "PATCH", path: appPath, id: "v1.application.patch", may: "application.patch", tag: tag, summary: "Change an application", access: operator, status: is200, handler: does(patchApplication)},
		{method: "DELETE", path: appPath, id: "v1.application.delete", may: "application.delete", tag: tag, summary: "Delete an application", doc: "Its endpoints and everything queued go with it.",
			access: operator, status: is204, handler: does(deleteApplication)},
	}
}

func endpointOperations() []operation {
	const tag = "Endpoint"
	return []operation{
		{method: "GET", path: appPath + "/endpoint", id: "v1.endpoint.list", may: "endpoint.list", tag: tag, summary: "List endpoints", access: customer, status: is200, query: ordered, handler: does(listEndpoints)},
		{method: "POST", path: appPath + "/endpoint", id: "v1.endpoint.create", may: "endpoint.create", tag: tag, summary: "Create an endpoint", access: customer, status: is201, handler: does(createEndpoint)},
		{method: "GET", path: endpointPath, id: "v1.endpoint.get", may: "endpoint.get", tag: tag, summary: "Get an endpoint", access: customer, status: is200, handler: does(getEndpoint)},
		{method: "PUT", path: endpointPath, id: "v1.endpoint.update", may: "endpoint.upsert", tag: tag, summary: "Replace an endpoint, or create it", access: customer, status: is200or201, handler: does(putEndpoint)},
		{method: "PATCH", path: endpointPath, id: "v1.endpoint.patch", may: "endpoint.patch", tag: tag, summary: "Change an endpoint", access: customer, status: is200, handler: does(patchEndpoint)},
		{method: "DELETE", path: endpointPath, id: "v1.endpoint.delete", may: "endpoint.delete", tag: tag, summary: "Delete an endpoint", access: customer, status: is204, handler: does(deleteEndpoint)},
		{method: "POST", path: endpointPath + "/pause", id: "hark.endpoint.pause", may: "endpoint.pause", tag: tag, summary: "Pause an endpoint", doc: "Its deliveries are made, and held until it is resumed.",
			access: customer, status: is200, handler: does(pauseEndpoint)},
		{method: "POST", path: endpointPath + "/resume", id: "hark.endpoint.resume", may: "endpoint.resume", tag: tag, summary: "Resume an endpoint", access: customer, status: is200, handler: does(resumeEndpoint)},
		{method: "GET", path: endpointPath + "/headers", id: "v1.endpoint.get-headers", may: "endpoint.headers.get", tag: tag, summary: "Get an endpoint's headers", access: customer, status: is200, handler: does(getEndpointHeaders)},
		{method: "PUT", path: endpointPath + "/headers", id: "v1.endpoint.update-headers", may: "endpoint.headers.set", tag: tag, summary: "Replace an endpoint's headers", access: customer, status: is204, handler: does(putEndpointHeaders)},
		{method: "PATCH", path: endpointPath + "/headers", id: "v1.endpoint.patch-headers", may: "endpoint.headers.patch", tag: tag, summary: "Change an endpoint's headers", access: customer, status: is204, handler: does(patchEndpointHeaders)},
		{method: "GET", path: endpointPath + "/secret", id: "v1.endpoint.get-secret", may: "endpoint.secret.get", tag: tag, summary: "Get an endpoint's signing secret", access: customer, status: is200, handler: does(getEndpointSecret)},
		{method: "POST", path: endpointPath + "/secret/rotate", id: "v1.endpoint.rotate-secret", may: "endpoint.secret.rotate", tag: tag, summary: "Rotate an endpoint's signing secret",
			doc: "The old secret signs as well until its grace period ends.", access: customer, status: is204, optionalBody: true, handler: does(rotateEndpointSecret)},
		{method: "GET", path: endpointPath + "/transformation", id: "v1.endpoint.transformation-get", may: "endpoint.transformation.get", tag: tag, summary: "Get an endpoint's transformation", access: customer, status: is200, handler: does(getTransformation)},
		{method: "PATCH", path: endpointPath + "/transformation", id: "v1.endpoint.patch-transformation", may: "endpoint.transformation.set", tag: tag, summary: "Change an endpoint's transformation",
			doc: "A script that does not compile, or throws before its handler is called, is refused.", access: customer, status: is204, handler: does(patchTransformation)},
		{method: "POST", path: endpointPath + "/transformation/simulate", id: "v1.endpoint.transformation-simulate", may: "endpoint.transformation.simulate", tag: tag, summary: "Try a transformation on a message", lean: true,
			doc: "Nothing is sent. The code, when it is given, is tried in place of the endpoint's. A script that fails is a 200 with its error.", access: customer, status: is200, handler: does(simulateTransformation)},
		{method: "GET", path: endpointPath + "/transformation/version", id: "hark.endpoint.transformation.list-versions", may: "endpoint.transformation.get", tag: tag, summary: "List the versions of a transformation, newest first", doc: "The newest 100 are kept.",
			access: customer, status: is200, handler: does(listTransformationVersions)},
		{method: "GET", path: endpointPath + "/transformation/version/{version}", id: "hark.endpoint.transformation.get-version", may: "endpoint.transformation.get", tag: tag, summary: "Get a version with its code", access: customer, status: is200, handler: does(getTransformationVersion)},
		{method: "POST", path: endpointPath + "/transformation/version/{version}/rollback", id: "hark.endpoint.transformation.rollback", may: "endpoint.transformation.rollback", tag: tag, summary: "Save an earlier version's code anew", doc: "Whether the transformation is enabled, and its variables, stay.",
			access: customer, status: is200, optionalBody: true, handler: does(rollBackTransformation)},
		{method: "GET", path: endpointPath + "/transformation/log", id: "hark.endpoint.transformation.log", may: "endpoint.transformation.log", tag: tag, summary: "List runs that failed, canceled their delivery or wrote to the console",
			doc: "The newest 200 are kept, for seven days. Runs that went well in silence are not among them.", access: customer, status: is200, query: paging, handler: does(listExecutions)},
		{method: "GET", path: endpointPath + "/stats", id: "v1.endpoint.get-stats", may: "endpoint.stats", tag: tag, summary: "Count an endpoint's attempts", access: customer, status: is200,
			query:   []param{{"since", timeType, "28 days ago, when it is left out, and no earlier."}, {"until", timeType, "Now, when it is left out, and no later."}},
			handler: does(getEndpointStats)},
		{method: "POST", path: endpointPath + "/send-example", id: "v1.endpoint.send-example", may: "endpoint.send-example", tag: tag, summary: "Send an example message", access: operator, status: is200, handler: does(sendExample)},
		{method: "POST", path: endpointPath + "/recover", id: "v1.endpoint.recover", may: "endpoint.recover", tag: tag, summary: "Send what failed again", access: customer, status: is202, handler: does(recoverEndpoint)},
		{method: "POST", path: endpointPath + "/replay-missing", id: "v1.endpoint.replay-missing", may: "endpoint.replay-missing", tag: tag, summary: "Send what was never sent", access: customer, status: is202, handler: does(replayMissing)},
		{method: "POST", path: endpointPath + "/bulk-replay", id: "v1.endpoint.bulk-replay", may: "endpoint.bulk-replay", tag: tag, summary: "Send messages again, failed or not", access: customer, status: is202, handler: does(bulkReplay)},
		{method: "GET", path: endpointPath + "/replay-count", id: "hark.endpoint.count-replay", may: "endpoint.replay-count", tag: tag, summary: "Count what a replay would send", doc: "Nothing is sent.", access: customer, status: is200,
			query: with(filters, param{"status", textType, "What recover (failed, the default), replay-missing (missing) or bulk-replay (all) would send."},
				param{"since", timeType, "14 days ago, when it is left out."}, param{"until", timeType, "Now, when it is left out."}),
			handler: does(countReplay)},
	}
}

func eventTypeOperations() []operation {
	const tag = "Event Type"
	return []operation{
		{method: "GET", path: "/event-type", id: "v1.event-type.list", may: "event-type.list", tag: tag, summary: "List event types", access: customer, status: is200,
			query: with(ordered, param{"include_archived", flagType, "true lists archived ones too."},
				param{"with_content", flagType, "true lists their schemas too."}),
			handler: does(listEventTypes)},
		{method: "POST", path: "/event-type", id: "v1.event-type.create", may: "event-type.create", tag: tag, summary: "Create an event type", doc: "An archived one of that name comes back.",
			access: operator, status: is201, handler: does(createEventType)},
		{method: "GET", path: eventTypePath, id: "v1.event-type.get", may: "event-type.get", tag: tag, summary: "Get an event type", access: customer, status: is200, handler: does(getEventType)},
		{method: "PUT", path: eventTypePath, id: "v1.event-type.update", may: "event-type.upsert", tag: tag, summary: "Replace an event type, or create it", access: operator, status: is200or201, handler: does(putEventType)},
		{method: "PATCH", path: eventTypePath, id: "v1.event-type.patch", may: "event-type.patch", tag: tag, summary: "Change an event type", access: operator, status: is200, handler: does(patchEventType)},
		{method: "DELETE", path: eventTypePath, id: "v1.event-type.delete", may: "event-type.delete", tag: tag, summary: "Archive an event type", access: operator, status: is204,
			query: []param{{"expunge", flagType, "true deletes it for good."}}, handler: does(deleteEventType)},
	}
}

func messageOperations() []operation {
	const tag = "Message"
	return []operation{
		{method: "GET", path: appPath + "/msg", id: "v1.message.list", may: "message.list", tag: tag, summary: "List messages, newest first", access: customer, status: is200, query: messageParams, handler: raw[none, ListResponse[MessageOut]](listMessages)},
		{method: "POST", path: appPath + "/msg", id: "v1.message.create", makesApp: true, may: "message.create", tag: tag, summary: "Publish a message",
			doc:    "202 means that the message and its deliveries are on disk. It is kept whether or not an endpoint wants it.",
			access: operator, status: is202, query: []param{contentParam, endpointsParam}, lean: true, handler: raw[MessageIn, MessageOut](publish)},
		{method: "POST", path: appPath + "/msg/batch", id: "hark.message.create-batch", may: "message.create", tag: tag, summary: "Publish up to 1000 messages in one commit",
			doc:    "202 when all were accepted, 200 when some were not; data has one result for each, in their order.",
			access: operator, status: is202or200, query: []param{contentParam, endpointsParam}, lean: true, bodyLimit: maxBatchBody,
			handler: raw[MessageBatchIn, MessageBatchOut](publishBatch)},
		{method: "POST", path: appPath + "/msg/precheck/active", id: "v1.message.precheck", lean: true, may: "message.precheck", tag: tag, summary: "Ask whether any endpoint would get such a message", access: operator, status: is200, handler: does(precheckMessage)},
		{method: "POST", path: appPath + "/msg/bulk-expunge", id: "v1.message.bulk-expunge", may: "message.expunge", tag: tag, summary: "Delete the payloads of some messages", access: operator, status: is200, handler: does(bulkExpunge)},
		{method: "POST", path: appPath + "/msg/expunge-all-contents", id: "v1.message.expunge-all-contents", may: "message.expunge-all", tag: tag, summary: "Delete all payloads of an application", access: operator, status: is202, handler: does(expungeAll)},
		{method: "GET", path: msgPath, id: "v1.message.get", may: "message.get", tag: tag, summary: "Get a message", access: customer, status: is200, query: []param{contentParam}, handler: raw[none, MessageOut](getMessage)},
		{method: "GET", path: msgPath + "/trace", id: "hark.message.trace", may: "message.trace", tag: tag, summary: "Explain where a message went, and why", access: customer, status: is200, handler: does(traceMessage)},
		{method: "DELETE", path: msgPath + "/content", id: "v1.message.expunge-content", may: "message.expunge", tag: tag, summary: "Delete a message's payload", access: operator, status: is204, handler: does(expungeMessage)},
	}
}

func attemptOperations() []operation {
	const tag = "Message Attempt"
	byMessage := with(attemptParams, param{"endpoint_id", textType, "Only attempts at this endpoint."})
	byEndpoint := with(attemptParams, param{"with_msg", flagType, "true carries each attempt's message, without its payload."})
	return []operation{
		{method: "GET", path: appPath + "/attempt/endpoint/{endpoint_id}", id: "v1.message-attempt.list-by-endpoint", may: "attempt.list", tag: tag, summary: "List an endpoint's attempts", doc: "A consumer's, too: what those who listen as it have answered.", access: customer, status: is200, query: byEndpoint, handler: does(listAttemptsByEndpoint)},
		{method: "GET", path: appPath + "/attempt/msg/{msg_id}", id: "v1.message-attempt.list-by-msg", may: "attempt.list", tag: tag, summary: "List a message's attempts", access: customer, status: is200, query: byMessage, handler: does(listAttemptsByMessage)},
		{method: "GET", path: msgPath + "/attempt", id: "v1.message-attempt.list-by-msg-deprecated", may: "attempt.list", tag: tag, summary: "List a message's attempts", access: customer, status: is200, query: byMessage, hidden: true, handler: does(listAttemptsByMessage)},
		{method: "GET", path: msgPath + "/endpoint/{endpoint_id}/attempt", id: "v1.message-attempt.list-by-endpoint-deprecated", may: "attempt.list", tag: tag, summary: "List a message's attempts at one endpoint", access: customer, status: is200, query: attemptParams, hidden: true, handler: does(listAttemptsByMessage)},
		{method: "GET", path: endpointPath + "/msg", id: "v1.message-attempt.list-attempted-messages", may: "attempt.list", tag: tag, summary: "List the messages that were sent to an endpoint", access: customer, status: is200, query: with(messageParams, expandedParam, param{"status", intType, "0 success, 1 pending, 2 fail, 3 sending, 4 canceled."}), handler: does(listAttemptedMessages)},
		{method: "GET", path: msgPath + "/endpoint", id: "v1.message-attempt.list-attempted-destinations", may: "attempt.list", tag: tag, summary: "List the endpoints that a message was sent to", access: customer, status: is200, query: with(paging, expandedParam), handler: does(listAttemptedEndpoints)},
		{method: "GET", path: msgPath + "/attempt/{attempt_id}", id: "v1.message-attempt.get", may: "attempt.get", tag: tag, summary: "Get an attempt", access: customer, status: is200, query: []param{expandedParam}, handler: does(getAttempt)},
		{method: "DELETE", path: msgPath + "/attempt/{attempt_id}/content", id: "v1.message-attempt.expunge-content", may: "attempt.expunge", tag: tag, summary: "Delete an attempt's response", access: operator, status: is204, handler: does(expungeAttempt)},
		{method: "POST", path: msgPath + "/endpoint/{endpoint_id}/resend", id: "v1.message-attempt.resend", may: "attempt.resend", tag: tag, summary: "Send a message to an endpoint again", access: customer, status: is202, handler: does(resend)},
	}
}

func taskOperations() []operation {
	const tag = "Background Task"
	return []operation{
		{method: "GET", path: "/background-task", id: "v1.background-task.list", may: "task.list", tag: tag, summary: "List background tasks", access: operator, status: is200,
			query:   with(ordered, param{"status", textType, "running, finished or failed."}, param{"task", textType, "Only this kind."}),
			handler: does(listTasks)},
		{method: "GET", path: "/background-task/{task_id}", id: "v1.background-task.get", may: "task.get", tag: tag, summary: "Get a background task", access: customer, status: is200, handler: does(getTask)},
	}
}

func adminOperations() []operation {
	const authentication, key, environment, health = "Authentication", "Key", "Environment", "Health"
	return []operation{
		{method: "POST", path: "/auth/app-portal-access/{app_id}", id: "v1.authentication.app-portal-access", makesApp: true, may: "portal.access", tag: authentication, summary: "Get a customer's token", access: operator, status: is200, optionalBody: true,
			doc: "The token opens its one application in this API, as far as its capabilities go. There is no portal page yet: url leads to this documentation, with the token as its fragment, for svix-react and portals of your own.", handler: does(appPortalAccess)},
		{method: "POST", path: "/auth/dashboard-access/{app_id}", id: "v1.authentication.dashboard-access", may: "portal.access", tag: authentication, summary: "Get a customer's token", access: operator, status: is200, hidden: true, handler: does(dashboardAccess)},
		{method: "POST", path: "/auth/app/{app_id}/expire-all", id: "v1.authentication.expire-all", may: "portal.expire", tag: authentication, summary: "Take back a customer's tokens", doc: "All that were made for the application until now end at once; new ones can be made.",
			access: operator, status: is204, optionalBody: true, handler: does(expireAll)},
		{method: "POST", path: "/auth/logout", id: "v1.authentication.logout", tag: authentication, summary: "Not implemented", doc: "Answers 501: tokens end when they expire.", access: everyone, status: is204, handler: does(logout)},
		{method: "GET", path: "/auth/whoami", id: "hark.authentication.whoami", may: "caller.get", tag: authentication, summary: "Ask what a key opens", doc: "The environment, the scope and, where there is only one, the application.",
			access: operator, status: is200, handler: does(whoAmI)},
		{method: "GET", path: "/key", id: "hark.key.list", may: "key.list", tag: key, summary: "List API keys", access: operator, status: is200, query: ordered, handler: does(listKeys)},
		{method: "POST", path: "/key", id: "hark.key.create", may: "key.create", tag: key, summary: "Create an API key", access: operator, status: is201, handler: does(createKey)},
		{method: "POST", path: "/key/{key_id}/rotate", id: "hark.key.rotate", may: "key.rotate", tag: key, summary: "Replace an API key, with an overlap", access: operator, status: is201, optionalBody: true, handler: does(rotateKey)},
		{method: "POST", path: "/key/{key_id}/revoke", id: "hark.key.revoke", may: "key.revoke", tag: key, summary: "Revoke an API key", access: operator, status: is204, handler: does(revokeKey)},
		{method: "DELETE", path: "/key/{key_id}", id: "hark.key.delete", may: "key.revoke", tag: key, summary: "Revoke an API key", access: operator, status: is204, handler: does(revokeKey)},
		{method: "GET", path: "/environment", id: "hark.environment.get", may: "environment.list", tag: environment, summary: "Get the environment of the key", access: operator, status: is200, handler: does(getEnvironment)},
		{method: "PATCH", path: "/environment", id: "hark.environment.patch", may: "environment.patch", tag: environment, summary: "Change the environment", access: operator, status: is200, handler: does(patchEnvironment)},
		{method: "GET", path: "/nodes", id: "hark.node.list", may: "node.list", tag: health, summary: "List the servers that share the database", doc: "Each delivers for its shards of all endpoints. On a data folder there is one.", access: operator, status: is200, handler: does(listNodes)},
		{method: "POST", path: "/admin/redrive-dlq", id: "v1.admin.redrive-dlq", may: "environment.patch", tag: environment, summary: "Nothing: Hark has no dead letters", access: operator, status: is204, hidden: true, handler: does(redrive)},
		{method: "GET", path: "/health", id: "v1.health.get", tag: health, summary: "Ask whether Hark can accept messages", access: everyone, status: is200, handler: does(getHealth)},
		{method: "GET", path: "/health/ping", id: "v1.health.ping", tag: health, summary: "Ask whether Hark runs", access: everyone, status: is204, handler: does(ping)},
	}
}
