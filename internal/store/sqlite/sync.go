package sqlite

import (
	"fmt"
	"os"
	"sync"

	"github.com/harkhq/hark"
)

// syncer makes committed groups durable: it syncs the log and then tells the callers. It does so
// beside the writer, which commits the next group meanwhile; the log is only ever appended to, so
// that one sync covers all that was committed before it began.
//
// SQLite could sync by itself (synchronous = FULL), but inside COMMIT, where the writer waits for
// it, and with fsync, which on ext4 takes twice as long as fdatasync for a log that does not grow.
type syncer struct {
	log      *os.File
	datasync func(*os.File) error
	groups   chan []*write
	free     chan struct{} // a token: no group is on its way
	done     sync.WaitGroup

	mu   sync.Mutex
	lost error // a sync failed
}

func startSyncer(w *writer) (*syncer, error) {
	log, err := os.OpenFile(w.store.path+"-wal", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	d := &syncer{log: log, datasync: datasync, groups: make(chan []*write), free: make(chan struct{}, 1)}
	d.free <- struct{}{}
	d.done.Go(func() {
		for group := range d.groups {
			if err := d.datasync(d.log); err != nil {
				d.mu.Lock()
				d.lost = err
				d.mu.Unlock()
			}
			d.free <- struct{}{} // the writer goes first: behind the callers it would wait for all of them
			w.finish(group, d.broken())
		}
	})
	return d, nil
}

// sync hands a committed group over; it waits until the one before is done.
func (d *syncer) sync(group []*write) {
	<-d.free
	d.groups <- group
}

// wait returns when no group is on its way.
func (d *syncer) wait() {
	<-d.free
	d.free <- struct{}{}
}

// broken says that a sync has failed. What it should have made durable may or may not be on the
// disk, and a later sync that succeeds says nothing about it: so nothing is written any more until
// the store is opened anew and reads what is really there.
func (d *syncer) broken() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lost == nil {
		return nil
	}
	return fmt.Errorf("sync the log: %w: %w", errDiskFailed, d.lost)
}

var errDiskFailed = &hark.Error{Code: hark.Unavailable, Detail: "The disk failed; nothing is written until the server is restarted"}

// stop ends the syncer when the last group is durable.
func (d *syncer) stop() {
	close(d.groups)
	d.done.Wait()
	_ = d.log.Close() // everything in it is synced
}
