package manage

import (
	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/auth"
)

// operation is one line of the permission table.
type operation int

const (
	opApplicationCreate operation = iota
	opApplicationList
	opApplicationGet
	opApplicationUpsert
	opApplicationPatch
	opApplicationDelete

	opEndpointCreate
	opEndpointList
	opEndpointGet
	opEndpointUpsert
	opEndpointPatch
	opEndpointDelete
	opEndpointPause
	opEndpointResume
	opEndpointEnable
	opEndpointDisable
	opHeadersGet
	opHeadersSet
	opHeadersPatch
	opSecretGet
	opSecretRotate
	opEndpointStats
	opSendExample
	opRecover
	opReplayMissing
	opBulkReplay
	opReplayCount

	opTransformationGet
	opTransformationSet
	opTransformationRollBack
	opTransformationSimulate
	opTransformationLog

	opConsumerCreate
	opConsumerList
	opConsumerGet
	opConsumerPatch
	opConsumerDelete
	opConsumerRead
	opConsumerAck
	opConsumerReplay
	opConsumerSecret
	opConsumerListen

	opEventTypeCreate
	opEventTypeList
	opEventTypeGet
	opEventTypeUpsert
	opEventTypePatch
	opEventTypeDelete

	opPublish
	opMessageList
	opMessageGet
	opMessageExpunge
	opMessagePrecheck
	opMessageExpungeAll
	opMessageTrace

	opAttemptList
	opAttemptGet
	opAttemptExpunge
	opResend

	opSourceCreate
	opSourceList
	opSourceGet
	opSourceUpsert
	opSourcePatch
	opSourceDelete
	opSourceToken
	opSourceSecret
	opRequestList
	opRequestGet
	opRequestAccept
	opRequestExpunge

	opTail

	opTaskGet
	opTaskList

	opEnvironmentList
	opEnvironmentPatch

	opNodeList

	opWhoAmI

	opKeyCreate
	opKeyList
	opKeyRotate
	opKeyRevoke

	opPollerCreate
	opPollerList
	opPollerGet
	opPollerPatch
	opPollerDelete
	opPollerRun
	opPollerPreview

	opPortalAccess
	opPortalExpire

	operations
)

// rule says who may do an operation.
type rule struct {
	name  string
	scope hark.Scope // the least scope of a key or an environment's token
	// portal are the capabilities of which an application token needs one; none: customers may not.
	portal auth.Capabilities
	// environment operations are not for callers that are restricted to one application.
	environment bool
}

// What customers need for what they may do.
const (
	see          = auth.ViewBase
	seeSecrets   = auth.ViewEndpointSecret | auth.ManageEndpointSecret | auth.ManageEndpoint
	rotate       = auth.ManageEndpointSecret | auth.ManageEndpoint
	edit         = auth.ManageEndpoint
	makeAttempts = auth.CreateAttempts
	transformAny = auth.ManageTransformations | auth.ManageEndpoint
)

// rules is the permission table.
var rules = [operations]rule{
	opApplicationCreate: {"application.create", hark.ScopeAdmin, 0, true},
	opApplicationList:   {"application.list", hark.ScopeRead, 0, true},
	opApplicationGet:    {"application.get", hark.ScopeRead, see, false},
	opApplicationUpsert: {"application.upsert", hark.ScopeAdmin, 0, true},
	opApplicationPatch:  {"application.patch", hark.ScopeAdmin, 0, false},
	opApplicationDelete: {"application.delete", hark.ScopeAdmin, 0, true},

	opTransformationGet:      {"endpoint.transformation.get", hark.ScopeAdmin, transformAny, false},
	opTransformationSet:      {"endpoint.transformation.set", hark.ScopeAdmin, transformAny, false},
	opTransformationRollBack: {"endpoint.transformation.rollback", hark.ScopeAdmin, transformAny, false},
	opTransformationSimulate: {"endpoint.transformation.simulate", hark.ScopeAdmin, transformAny, false},
	opTransformationLog:      {"endpoint.transformation.log", hark.ScopeRead, see, false},

	opEndpointCreate:  {"endpoint.create", hark.ScopeAdmin, edit, false},
	opEndpointList:    {"endpoint.list", hark.ScopeRead, see, false},
	opEndpointGet:     {"endpoint.get", hark.ScopeRead, see, false},
	opEndpointUpsert:  {"endpoint.upsert", hark.ScopeAdmin, edit, false},
	opEndpointPatch:   {"endpoint.patch", hark.ScopeAdmin, edit, false},
	opEndpointDelete:  {"endpoint.delete", hark.ScopeAdmin, edit, false},
	opEndpointPause:   {"endpoint.pause", hark.ScopeAdmin, edit, false},
	opEndpointResume:  {"endpoint.resume", hark.ScopeAdmin, edit, false},
	opEndpointEnable:  {"endpoint.enable", hark.ScopeAdmin, edit, false},
	opEndpointDisable: {"endpoint.disable", hark.ScopeAdmin, edit, false},
	opHeadersGet:      {"endpoint.headers.get", hark.ScopeRead, see, false},
	opHeadersSet:      {"endpoint.headers.set", hark.ScopeAdmin, edit, false},
	opHeadersPatch:    {"endpoint.headers.patch", hark.ScopeAdmin, edit, false},
	opSecretGet:       {"endpoint.secret.get", hark.ScopeAdmin, seeSecrets, false},
	opSecretRotate:    {"endpoint.secret.rotate", hark.ScopeAdmin, rotate, false},
	opEndpointStats:   {"endpoint.stats", hark.ScopeRead, see, false},
	opSendExample:     {"endpoint.send-example", hark.ScopePublish, 0, false},
	opRecover:         {"endpoint.recover", hark.ScopePublish, makeAttempts, false},
	opReplayMissing:   {"endpoint.replay-missing", hark.ScopePublish, makeAttempts, false},
	opBulkReplay:      {"endpoint.bulk-replay", hark.ScopePublish, makeAttempts, false},
	opReplayCount:     {"endpoint.replay-count", hark.ScopeRead, see, false},

	opConsumerCreate: {"consumer.create", hark.ScopeAdmin, edit, false},
	opConsumerList:   {"consumer.list", hark.ScopeRead, see, false},
	opConsumerGet:    {"consumer.get", hark.ScopeRead, see, false},
	opConsumerPatch:  {"consumer.patch", hark.ScopeAdmin, edit, false},
	opConsumerDelete: {"consumer.delete", hark.ScopeAdmin, edit, false},
	opConsumerRead:   {"consumer.read", hark.ScopeRead, see, false},
	opConsumerAck:    {"consumer.ack", hark.ScopeRead, see, false}, // who reads says how far it has come
	opConsumerReplay: {"consumer.replay-missing", hark.ScopePublish, makeAttempts, false},
	opConsumerSecret: {"consumer.secret.get", hark.ScopeAdmin, seeSecrets, false},
	opConsumerListen: {"consumer.listen", hark.ScopePublish, makeAttempts, false}, // its answers are attempts

	opEventTypeCreate: {"event-type.create", hark.ScopeAdmin, 0, true},
	opEventTypeList:   {"event-type.list", hark.ScopeRead, see, false},
	opEventTypeGet:    {"event-type.get", hark.ScopeRead, see, false},
	opEventTypeUpsert: {"event-type.upsert", hark.ScopeAdmin, 0, true},
	opEventTypePatch:  {"event-type.patch", hark.ScopeAdmin, 0, true},
	opEventTypeDelete: {"event-type.delete", hark.ScopeAdmin, 0, true},

	opPublish:           {"message.create", hark.ScopePublish, 0, false},
	opMessageList:       {"message.list", hark.ScopeRead, see, false},
	opMessageGet:        {"message.get", hark.ScopeRead, see, false},
	opMessageExpunge:    {"message.expunge", hark.ScopeAdmin, 0, false},
	opMessagePrecheck:   {"message.precheck", hark.ScopeRead, 0, false},
	opMessageExpungeAll: {"message.expunge-all", hark.ScopeAdmin, 0, false},
	opMessageTrace:      {"message.trace", hark.ScopeRead, see, false},

	opAttemptList:    {"attempt.list", hark.ScopeRead, see, false},
	opAttemptGet:     {"attempt.get", hark.ScopeRead, see, false},
	opAttemptExpunge: {"attempt.expunge", hark.ScopeAdmin, 0, false},
	opResend:         {"attempt.resend", hark.ScopePublish, makeAttempts, false},

	opSourceCreate:   {"source.create", hark.ScopeAdmin, 0, false},
	opSourceList:     {"source.list", hark.ScopeRead, 0, false},
	opSourceGet:      {"source.get", hark.ScopeRead, 0, false},
	opSourceUpsert:   {"source.upsert", hark.ScopeAdmin, 0, false},
	opSourcePatch:    {"source.patch", hark.ScopeAdmin, 0, false},
	opSourceDelete:   {"source.delete", hark.ScopeAdmin, 0, false},
	opSourceToken:    {"source.token.rotate", hark.ScopeAdmin, 0, false},
	opSourceSecret:   {"source.secret.rotate", hark.ScopeAdmin, 0, false},
	opRequestList:    {"request.list", hark.ScopeRead, 0, false},
	opRequestGet:     {"request.get", hark.ScopeRead, 0, false},
	opRequestAccept:  {"request.accept", hark.ScopePublish, 0, false},
	opRequestExpunge: {"request.expunge", hark.ScopeAdmin, 0, false},

	opTail: {"tail.read", hark.ScopeRead, 0, false},

	opTaskGet:  {"task.get", hark.ScopeRead, see, false},
	opTaskList: {"task.list", hark.ScopeRead, 0, true},

	opEnvironmentList:  {"environment.list", hark.ScopeRead, 0, true},
	opEnvironmentPatch: {"environment.patch", hark.ScopeAdmin, 0, true},

	opNodeList: {"node.list", hark.ScopeRead, 0, true},

	opWhoAmI: {"caller.get", hark.ScopeRead, 0, false},

	opKeyCreate: {"key.create", hark.ScopeAdmin, 0, true},
	opKeyList:   {"key.list", hark.ScopeAdmin, 0, true},
	opKeyRotate: {"key.rotate", hark.ScopeAdmin, 0, true},
	opKeyRevoke: {"key.revoke", hark.ScopeAdmin, 0, true},

	opPollerCreate:  {"poller.create", hark.ScopeAdmin, 0, false},
	opPollerList:    {"poller.list", hark.ScopeRead, 0, false},
	opPollerGet:     {"poller.get", hark.ScopeRead, 0, false},
	opPollerPatch:   {"poller.patch", hark.ScopeAdmin, 0, false},
	opPollerDelete:  {"poller.delete", hark.ScopeAdmin, 0, false},
	opPollerRun:     {"poller.run", hark.ScopePublish, 0, false},
	opPollerPreview: {"poller.preview", hark.ScopeAdmin, 0, false},

	opPortalAccess: {"portal.access", hark.ScopeAdmin, 0, false},
	opPortalExpire: {"portal.expire", hark.ScopeAdmin, 0, false},
}

// errForbidden says no more than that: what exists is none of the caller's business.
var errForbidden = &hark.Error{Code: hark.Forbidden, Detail: "This token may not do that."}

// permit says whether the caller may do an operation at all; whose application it is about is
// checked when it has been found.
func (c *Caller) permit(op operation) error {
	r := &rules[op]
	if c.Portal {
		if c.Capabilities&r.portal == 0 {
			return errForbidden
		}
		return nil
	}
	if rank(c.Scope) < rank(r.scope) || r.environment && c.ApplicationID != "" {
		return errForbidden
	}
	return nil
}

func rank(s hark.Scope) int {
	switch s {
	case hark.ScopeAdmin:
		return 3
	case hark.ScopePublish:
		return 2
	case hark.ScopeRead:
		return 1
	}
	return 0
}
