package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/manage"
	"github.com/harkhq/hark/internal/stream"
)

// ConsumerIn describes a consumer to create.
type ConsumerIn struct {
	UID         manage.Opt[string]          `json:"uid" doc:"Your own id for it, unique in the application among consumers and endpoints; it works wherever the id does."`
	Description string                      `json:"description"`
	EventTypes  []string                    `json:"eventTypes" null:"1" doc:"Only these; left out or null means all."`
	Channels    []string                    `json:"channels" null:"1" doc:"Only messages in one of these channels."`
	Filter      manage.Opt[json.RawMessage] `json:"filter" schema:"object" doc:"Only messages whose payload matches."`
	Deduplicate manage.Opt[DedupeIn]        `json:"deduplicate" doc:"Of messages of one event type that are equal by this rule, only the first comes. By default every message does."`
	Paused      bool                        `json:"paused" doc:"Messages wait, and come when it is resumed."`
	Disabled    bool                        `json:"disabled" doc:"Gets nothing while it is true."`
	Metadata    map[string]string           `json:"metadata" doc:"Yours to keep; at most 4096 bytes."`
	Since       manage.Opt[time.Time]       `json:"since" doc:"Also what was accepted from then on, as far as it is kept."`
	Secret      manage.Opt[string]          `json:"secret" doc:"What is listened to is signed with it, as an endpoint's: whsec_ and 24 to 75 bytes of base64, or whsk_ for ed25519; one is made when it is left out."`
}

func (in *ConsumerIn) domain() manage.ConsumerIn {
	return manage.ConsumerIn{
		UID: in.UID, Description: in.Description, EventTypes: in.EventTypes, Channels: in.Channels, Filter: in.Filter,
		Deduplicate: dedupe(in.Deduplicate), Paused: in.Paused, Disabled: in.Disabled, Metadata: in.Metadata, Since: in.Since, Secret: in.Secret,
	}
}

// ConsumerPatch changes the fields that are given.
type ConsumerPatch struct {
	UID         manage.Opt[string]            `json:"uid"`
	Description manage.Opt[string]            `json:"description"`
	EventTypes  manage.Opt[[]string]          `json:"eventTypes"`
	Channels    manage.Opt[[]string]          `json:"channels"`
	Filter      manage.Opt[json.RawMessage]   `json:"filter" schema:"object"`
	Deduplicate manage.Opt[DedupeIn]          `json:"deduplicate"`
	Paused      manage.Opt[bool]              `json:"paused"`
	Disabled    manage.Opt[bool]              `json:"disabled"`
	Metadata    manage.Opt[map[string]string] `json:"metadata" doc:"Replaces all of it."`
}

func (in *ConsumerPatch) domain() manage.ConsumerPatch {
	return manage.ConsumerPatch{
		UID: in.UID, Description: in.Description, EventTypes: in.EventTypes, Channels: in.Channels, Filter: in.Filter,
		Deduplicate: dedupe(in.Deduplicate), Paused: in.Paused, Disabled: in.Disabled, Metadata: in.Metadata,
	}
}

// ConsumerOut is a consumer.
type ConsumerOut struct {
	ID          hark.EndpointID   `json:"id"`
	UID         *string           `json:"uid"`
	Description string            `json:"description"`
	EventTypes  []string          `json:"eventTypes" null:"1"`
	Channels    []string          `json:"channels" null:"1"`
	Filter      json.RawMessage   `json:"filter" schema:"object" null:"1"`
	Deduplicate *DedupeOut        `json:"deduplicate" doc:"null: every message comes."`
	Paused      bool              `json:"paused"`
	Disabled    bool              `json:"disabled"`
	Metadata    map[string]string `json:"metadata"`
	CreatedAt   time.Time         `json:"createdAt"`
	UpdatedAt   time.Time         `json:"updatedAt"`
}

func consumerOut(ep *hark.Endpoint) ConsumerOut {
	out := ConsumerOut{
		ID: ep.ID, UID: orNull(ep.UID), Description: ep.Description, EventTypes: ep.EventTypes, Channels: ep.Channels, Filter: ep.Filter,
		Deduplicate: dedupeOut(&ep.Rules),
		Paused:      ep.Paused, Disabled: ep.Disabled, Metadata: orEmpty(ep.Metadata), CreatedAt: wireTime(ep.CreatedAt), UpdatedAt: wireTime(ep.UpdatedAt),
	}
	if len(out.Filter) == 0 {
		out.Filter = nil
	}
	return out
}

func listConsumers(c *call, _ none) (ListResponse[ConsumerOut], error) {
	q := c.query()
	in := q.page()
	if q.err != nil {
		return ListResponse[ConsumerOut]{}, q.err
	}
	page, err := c.api.Manage.ListConsumers(c.r.Context(), c.caller, c.path("app_id"), in)
	return listOf(page, consumerOut), err
}

func createConsumer(c *call, in ConsumerIn) (ConsumerOut, error) {
	ep, err := c.api.Manage.CreateConsumer(c.r.Context(), c.caller, c.path("app_id"), in.domain())
	return consumerOut(&ep), err
}

func getConsumer(c *call, _ none) (ConsumerOut, error) {
	ep, err := c.api.Manage.Consumer(c.r.Context(), c.caller, c.path("app_id"), c.path("sink_id"))
	return consumerOut(&ep), err
}

func patchConsumer(c *call, in ConsumerPatch) (ConsumerOut, error) {
	ep, err := c.api.Manage.PatchConsumer(c.r.Context(), c.caller, c.path("app_id"), c.path("sink_id"), in.domain())
	return consumerOut(&ep), err
}

func deleteConsumer(c *call, _ none) (none, error) {
	return none{}, c.api.Manage.DeleteConsumer(c.r.Context(), c.caller, c.path("app_id"), c.path("sink_id"))
}

func replayMissingToConsumer(c *call, in ReplayIn) (TaskRef, error) {
	task, err := c.api.Manage.ReplayMissingToConsumer(c.r.Context(), c.caller, c.path("app_id"), c.path("sink_id"), manage.ReplayIn(in))
	return taskRef(&task), err
}

// PolledMessage is a message as a consumer reads it.
type PolledMessage struct {
	MessageOut
	Headers map[string]string `json:"headers" null:"1" doc:"Of a message that came in at a source: the request's, those of one name joined by commas."`
}

// PollingEndpointOut is one read of a poller.
type PollingEndpointOut struct {
	Data     []PolledMessage `json:"data"`
	Iterator string          `json:"iterator" doc:"Ask with it for what follows."`
	Done     bool            `json:"done" doc:"There is nothing more now."`
}

// FedMessage is a message with its place in the feed.
type FedMessage struct {
	Seq    int64  `json:"seq" doc:"Rises by one from message to message."`
	Cursor string `json:"cursor" doc:"The place behind it."`
	MessageOut
}

// GapOut says that messages are gone which were not read.
type GapOut struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// FeedOut is one read of a consumer's feed.
type FeedOut struct {
	Data   []FedMessage `json:"data"`
	Gaps   []GapOut     `json:"gaps" doc:"Numbers that have expired, or been deleted, before they were read."`
	Cursor string       `json:"cursor" doc:"Ask with it for what follows; acknowledge with it when the messages are dealt with."`
	Done   bool         `json:"done" doc:"There is nothing more now."`
}

func (c *call) readIn() (manage.ReadIn, error) {
	q := c.query()
	in := manage.ReadIn{From: q.text("iterator"), Group: q.text("group"), EventTypes: q.list("event_types"), Channel: q.text("channel")}
	if from := q.text("cursor"); from != "" {
		in.From = from
	}
	if n := q.number("limit"); n != nil {
		if *n == 0 && q.err == nil {
			q.err = hark.InvalidField("must be 1 to 250", "query", "limit")
		}
		in.Limit = *n
	}
	if n := q.number("wait"); n != nil {
		in.Wait = time.Duration(*n) * time.Second
	}
	if t := q.text("event_type"); t != "" {
		in.EventTypes = append(in.EventTypes, t)
	}
	if after := q.moment("after"); !after.IsZero() && in.From == "" {
		in.From = after.Format(time.RFC3339Nano)
	}
	return in, q.err
}

func pollMessages(c *call) error {
	in, err := c.readIn()
	if err != nil {
		return err
	}
	in.Group, in.Wait = "", 0
	page, err := c.api.Manage.ReadConsumer(c.r.Context(), c.caller, c.path("app_id"), c.path("sink_id"), in)
	if err != nil {
		return err
	}
	c.encodePolled(page)
	return nil
}

func pollMessagesOfGroup(c *call) error {
	in, err := c.readIn()
	if err != nil {
		return err
	}
	in.Group, in.Wait = c.path("consumer_id"), 0
	in.Again = c.r.Header.Get("Svix-Retry-Count") != "" // the SDKs ask again by themselves
	page, err := c.api.Manage.PollConsumer(c.r.Context(), c.caller, c.path("app_id"), c.path("sink_id"), in)
	if err != nil {
		return err
	}
	c.encodePolled(page)
	return nil
}

// encodePolled writes a PollingEndpointOut.
func (c *call) encodePolled(p stream.Page) {
	frame := struct {
		Iterator string `json:"iterator"`
		Done     bool   `json:"done"`
	}{stream.Cursor(p.Last), !p.More}
	items, _ := feedItems(p)
	c.encodeData(frame, len(items), func(b []byte, i int) []byte { return appendPolled(b, items[i].Message) })
}

// feedItems tells a page's messages and gaps apart.
func feedItems(p stream.Page) (messages []stream.Item, gaps []GapOut) {
	gaps = []GapOut{}
	for _, item := range p.Items {
		if item.Message == nil {
			gaps = append(gaps, GapOut{item.From, item.Seq})
		} else {
			messages = append(messages, item)
		}
	}
	return messages, gaps
}

// appendPolled writes a PolledMessage.
func appendPolled(b []byte, m *hark.Message) []byte {
	content := contentOf(m)
	b = appendContent(appendMessage(b, m, shownPayload(m, true)), content)
	b = append(b[:len(b)-1], `,"headers":`...)
	if content.Request == nil {
		return append(b, "null}"...)
	}
	headers := make(map[string]string, len(content.Request.Headers))
	for name, values := range content.Request.Headers {
		headers[name] = strings.Join(values, ", ")
	}
	text, err := json.Marshal(headers)
	if err != nil {
		panic(err) // texts always work
	}
	return append(append(b, text...), '}')
}

// appendFed writes a FedMessage.
func appendFed(b []byte, item *stream.Item) []byte {
	b = strconv.AppendInt(append(b, `{"seq":`...), item.Seq, 10)
	b = append(append(b, `,"cursor":"`...), stream.Cursor(item.Seq)...)
	b = append(b, '"')
	at := len(b)
	b = appendRead(b, item.Message, true)
	b[at] = ',' // where the message's object begins
	return b
}

// PollerSeekIn says from when on a group reads.
type PollerSeekIn struct {
	After time.Time `json:"after" req:"1"`
}

// PollerSeekOut is where that is.
type PollerSeekOut struct {
	Iterator string `json:"iterator"`
}

func seekGroup(c *call, in PollerSeekIn) (PollerSeekOut, error) {
	if in.After.IsZero() {
		return PollerSeekOut{}, hark.InvalidField("field required", "body", "after")
	}
	seq, err := c.api.Manage.SeekConsumer(c.r.Context(), c.caller, c.path("app_id"), c.path("sink_id"), c.path("consumer_id"), in.After.Format(time.RFC3339Nano))
	return PollerSeekOut{stream.Cursor(seq)}, err
}

func readConsumer(c *call) error {
	in, err := c.readIn()
	if err != nil {
		return err
	}
	if in.Wait > 0 {
		_ = http.NewResponseController(c.ResponseWriter).SetReadDeadline(time.Time{}) // the server's ends the wait
		_ = http.NewResponseController(c.ResponseWriter).SetWriteDeadline(time.Now().Add(in.Wait + time.Minute))
	}
	page, err := c.api.Manage.ReadConsumer(c.r.Context(), c.caller, c.path("app_id"), c.path("sink_id"), in)
	if err != nil {
		return err
	}
	items, gaps := feedItems(page)
	frame := struct {
		Gaps   []GapOut `json:"gaps"`
		Cursor string   `json:"cursor"`
		Done   bool     `json:"done"`
	}{gaps, stream.Cursor(page.Last), !page.More}
	c.encodeData(frame, len(items), func(b []byte, i int) []byte { return appendFed(b, &items[i]) })
	return nil
}

// AckIn says how far a group has come.
type AckIn struct {
	Group  string `json:"group" req:"1" doc:"A name of your choice, up to 128 characters: readers with the same one share a place."`
	Cursor string `json:"cursor" req:"1" doc:"Everything up to here is dealt with."`
}

// PlaceOut is a group's place.
type PlaceOut struct {
	Cursor string `json:"cursor"`
}

func ackConsumer(c *call, in AckIn) (PlaceOut, error) {
	seq, err := c.api.Manage.AckConsumer(c.r.Context(), c.caller, c.path("app_id"), c.path("sink_id"), in.Group, in.Cursor)
	return PlaceOut{stream.Cursor(seq)}, err
}

// SeekIn puts a group's place anywhere.
type SeekIn struct {
	Group string `json:"group" req:"1"`
	To    string `json:"to" req:"1" doc:"A cursor, a time, start or end."`
}

func seekConsumer(c *call, in SeekIn) (PlaceOut, error) {
	seq, err := c.api.Manage.SeekConsumer(c.r.Context(), c.caller, c.path("app_id"), c.path("sink_id"), in.Group, in.To)
	return PlaceOut{stream.Cursor(seq)}, err
}

// openStream makes the reader of a stream.
func (c *call) openStream() (stream.Reader, error) {
	in, err := c.readIn()
	if err != nil {
		return stream.Reader{}, err
	}
	if last := c.r.Header.Get("Last-Event-ID"); last != "" {
		in.From = last
	}
	r, err := c.api.Manage.OpenStream(c.r.Context(), c.caller, c.path("app_id"), c.path("sink_id"), in)
	if err != nil {
		return r, err
	}
	authenticate, bearer, check := c.api.Auth.Authenticate, c.bearer, r.Check
	r.Check = func(ctx context.Context) error { // the token may have been revoked meanwhile
		if _, err := authenticate(ctx, bearer); err != nil {
			return err
		}
		return check(ctx)
	}
	r.Encode = func(dst []byte, m *hark.Message) []byte { return appendRead(dst, m, true) }
	return r, nil
}

func streamConsumer(c *call) error {
	r, err := c.openStream()
	if err != nil {
		return err
	}
	if c.r.Method == http.MethodHead { // it would wait for ever
		c.Header().Set("Content-Type", "text/event-stream")
		return nil
	}
	if err := c.api.Streams.ServeEvents(c.ResponseWriter, c.r, r); err != nil {
		return err
	}
	c.sent = true
	return nil
}

func socketConsumer(c *call) error {
	if c.r.Header.Get("Upgrade") == "" {
		c.Header().Set("Upgrade", "websocket")
		return hark.Errorf(upgradeRequired, "this is a WebSocket: connect with one, or read the stream beside it")
	}
	r, err := c.openStream()
	if err != nil {
		return err
	}
	c.sent = true
	c.api.Streams.ServeSocket(c.ResponseWriter, c.r, r)
	return nil
}

func getConsumerSecret(c *call, _ none) (EndpointSecretOut, error) {
	key, err := c.api.Manage.ConsumerSecret(c.r.Context(), c.caller, c.path("app_id"), c.path("sink_id"))
	return EndpointSecretOut{key}, err
}

func listenToConsumer(c *call) error {
	if c.r.Header.Get("Upgrade") == "" {
		c.Header().Set("Upgrade", "websocket")
		return hark.Errorf(upgradeRequired, "this is a WebSocket: hark listen connects with one")
	}
	l, err := c.api.Manage.OpenTunnel(c.r.Context(), c.caller, c.path("app_id"), c.path("sink_id"))
	if err != nil {
		return err
	}
	authenticate, bearer := c.api.Auth.Authenticate, c.bearer
	l.Check = func(ctx context.Context) error {
		_, err := authenticate(ctx, bearer)
		return err
	}
	c.sent = true
	c.api.Tunnels.Serve(c.ResponseWriter, c.r, l)
	return nil
}

func consumerOperations() []operation {
	const tag, poller = "Consumer", "Message Poller"
	from := param{"cursor", textType, "Where to begin: a cursor, a time, start or end; by default the group's place, or the start."}
	group := param{"group", textType, "Whose place to begin at when there is no cursor."}
	narrow := []param{{"event_type", textType, "Only this event type."}, {"channel", textType, "Only messages in this channel."}}
	const path = appPath + "/consumer/{sink_id}"
	const poll = appPath + "/poller/{sink_id}"
	return []operation{
		{method: "GET", path: appPath + "/consumer", id: "hark.consumer.list", may: "consumer.list", tag: tag, summary: "List consumers", access: customer, status: is200, query: ordered, handler: does(listConsumers)},
		{method: "POST", path: appPath + "/consumer", id: "hark.consumer.create", may: "consumer.create", tag: tag, summary: "Create a consumer", doc: "Messages that match it wait in its feed until they are fetched.",
			access: customer, status: is201, optionalBody: true, handler: does(createConsumer)},
		{method: "GET", path: path, id: "hark.consumer.get", may: "consumer.get", tag: tag, summary: "Get a consumer", access: customer, status: is200, handler: does(getConsumer)},
		{method: "PATCH", path: path, id: "hark.consumer.patch", may: "consumer.patch", tag: tag, summary: "Change a consumer", access: customer, status: is200, handler: does(patchConsumer)},
		{method: "DELETE", path: path, id: "hark.consumer.delete", may: "consumer.delete", tag: tag, summary: "Delete a consumer", access: customer, status: is204, handler: does(deleteConsumer)},
		{method: "GET", path: path + "/messages", id: "hark.consumer.read", may: "consumer.read", tag: tag, summary: "Read a consumer's messages", doc: "With wait it is a long poll. Reading moves no group's place: acknowledge what is dealt with.",
			access: customer, status: is200, query: with(narrow, from, group, param{"limit", intType, "Most messages: 1 to 250, 50 by default."}, param{"wait", intType, "Seconds to wait for a message when there is none; at most 60."}), handler: raw[none, FeedOut](readConsumer)},
		{method: "POST", path: path + "/ack", id: "hark.consumer.ack", may: "consumer.ack", tag: tag, summary: "Acknowledge messages", doc: "Moves a group's place forwards, never back.", access: customer, status: is200, lean: true, handler: does(ackConsumer)},
		{method: "POST", path: path + "/seek", id: "hark.consumer.seek", may: "consumer.ack", tag: tag, summary: "Move a group's place", access: customer, status: is200, lean: true, handler: does(seekConsumer)},
		{method: "GET", path: path + "/stream", id: "hark.consumer.stream", may: "consumer.read", tag: tag, summary: "Stream messages as server-sent events", doc: "Each event's id is its cursor; Last-Event-ID goes on behind it. An event named gap says which numbers have expired. Browsers give an application token as token in the query.",
			access: customer, status: is200, query: []param{from, group}, stream: true, handler: raw[none, string](streamConsumer)},
		{method: "GET", path: path + "/ws", id: "hark.consumer.socket", may: "consumer.read", tag: tag, summary: "Read and acknowledge over a WebSocket", doc: "The client says subscribe, then ack; the server sends message, gap, acked and error.",
			access: customer, status: []int{http.StatusSwitchingProtocols}, stream: true, handler: raw[none, none](socketConsumer)},
		{method: "GET", path: path + "/listen", id: "hark.consumer.listen", may: "consumer.listen", tag: tag, summary: "Be the server that messages go to, over a WebSocket",
			doc:    "What hark listen speaks (hark-listen-v1): the server sends finished, signed requests; the client says what its own server answered, which is kept as an attempt.",
			access: customer, status: []int{http.StatusSwitchingProtocols}, stream: true, handler: raw[none, none](listenToConsumer)},
		{method: "GET", path: path + "/secret", id: "hark.consumer.get-secret", may: "consumer.secret.get", tag: tag, summary: "Get the secret that signs what is listened to", access: customer, status: is200, handler: does(getConsumerSecret)},
		{method: "POST", path: path + "/replay-missing", id: "hark.consumer.replay-missing", may: "consumer.replay-missing", tag: tag, summary: "Feed what a consumer never got", access: customer, status: is202, handler: does(replayMissingToConsumer)},
		{method: "GET", path: poll, id: "v1.message.poller.poll", may: "consumer.read", tag: poller, summary: "Poll messages", access: customer, status: is200,
			query: with(narrow, paging[0], paging[1], period[1]), handler: raw[none, PollingEndpointOut](pollMessages)},
		{method: "GET", path: poll + "/consumer/{consumer_id}", id: "v1.message.poller.consumer-poll", may: "consumer.ack", tag: poller, summary: "Poll messages; the server keeps the place",
			doc: "Come back with each answer's iterator: it says that all before is dealt with, and nothing else moves the place, so an answer that is lost is answered again. Without an iterator it goes on behind the last answer, and only a retry by the SDK (svix-retry-count) gets that answer again.", access: customer, status: is200, query: with(narrow, paging[0], paging[1]), handler: raw[none, PollingEndpointOut](pollMessagesOfGroup)},
		{method: "POST", path: poll + "/consumer/{consumer_id}/seek", id: "v1.message.poller.consumer-seek", may: "consumer.ack", tag: poller, summary: "Move the place to a time", access: customer, status: is200, handler: does(seekGroup)},
	}
}
