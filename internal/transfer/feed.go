package transfer

import "github.com/harkhq/hark/internal/store"

type feedShape struct {
	Endpoint int64         `json:"endpoint"`
	Last     int64         `json:"last"`
	Cursors  []cursorShape `json:"cursors,omitempty"`
}

type cursorShape struct {
	Group     string `json:"group,omitempty"`
	Seq       int64  `json:"seq,omitempty"`
	UpdatedAt int64  `json:"updatedAt,omitempty"`
}

// fedShape is a message's place in a consumer's feed.
type fedShape struct {
	Endpoint int64 `json:"endpoint"`
	Seq      int64 `json:"seq"`
	At       int64 `json:"at,omitempty"`
}

func shapeFeed(f *store.MovedFeed) *feedShape {
	s := &feedShape{Endpoint: f.EndpointRef, Last: f.Last}
	for _, c := range f.Cursors {
		s.Cursors = append(s.Cursors, cursorShape{c.Group, c.Seq, millis(c.UpdatedAt)})
	}
	return s
}

func (s *feedShape) restore() *store.MovedFeed {
	f := &store.MovedFeed{EndpointRef: s.Endpoint, Last: s.Last}
	for _, c := range s.Cursors {
		f.Cursors = append(f.Cursors, store.Cursor{Group: c.Group, Seq: c.Seq, UpdatedAt: moment(c.UpdatedAt)})
	}
	return f
}
