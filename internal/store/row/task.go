package row

import (
	"context"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// TaskSQL are the statements of tasks: environment, id, kind, status, data, created_at, updated_at.
type TaskSQL struct {
	Insert  string  // all columns; one that exists stays
	Update  string  // status, data, updated_at; id
	One     string  // environment, id
	Lock    string  // id; nobody else changes it meanwhile
	Running string  // by id
	List    Listing // environment, behind and before an id, status, kind, limit
	Every   string  // by id
}

func scanTask(r Row) (hark.Task, error) {
	return hark.Task{
		EnvironmentID: hark.EnvironmentID(r.Text(0)), ID: hark.TaskID(r.Text(1)), Kind: r.Text(2), Status: r.Text(3),
		Data: r.Raw(4), CreatedAt: r.Time(5), UpdatedAt: r.Time(6),
	}, nil
}

func taskValues(task *hark.Task) []any {
	return []any{string(task.EnvironmentID), string(task.ID), task.Kind, task.Status, EncodeRaw(task.Data), task.CreatedAt, task.UpdatedAt}
}

// InsertTask adds a task.
func (k *Kinds) InsertTask(ctx context.Context, task hark.Task) error {
	return k.access.Change(ctx, func(c Conn) error {
		return c.must(Conflict("A task with this id already exists", string(task.ID)), k.sql.Task.Insert, taskValues(&task)...)
	})
}

// UpdateTask changes a task.
func (k *Kinds) UpdateTask(ctx context.Context, id hark.TaskID, change func(*hark.Task) error) (hark.Task, error) {
	sql := &k.sql.Task
	return answer(ctx, k.access.Change, func(c Conn) (hark.Task, error) {
		return update(c, scanTask, sql.Lock, sql.Update, change, func(task *hark.Task) []any {
			return []any{task.Status, EncodeRaw(task.Data), task.UpdatedAt}
		}, string(id))
	})
}

// Task finds a task.
func (k *Kinds) Task(ctx context.Context, env hark.EnvironmentID, id hark.TaskID) (hark.Task, error) {
	return Get(ctx, k.access.Read, scanTask, k.sql.Task.One, string(env), string(id))
}

// ListTasks lists the tasks of an environment; status and kind narrow it unless empty.
func (k *Kinds) ListTasks(ctx context.Context, env hark.EnvironmentID, status, kind string, page store.Page) ([]hark.Task, error) {
	return listPage(ctx, k, scanTask, k.sql.Task.List, PageOfText(page), string(env), status, kind)
}

// RunningTasks lists the unfinished tasks of all environments.
func (k *Kinds) RunningTasks(ctx context.Context) ([]hark.Task, error) {
	return List(ctx, k.access.Read, scanTask, k.sql.Task.Running)
}

// AnswerSQL are the statements of remembered answers: hash, fingerprint, status, header, body, expires_at.
type AnswerSQL struct {
	Reserve  string // hash, fingerprint, expires_at, now; overwrites what has expired alone
	Remember string // all columns, now; overwrites what has expired, and a reservation
	Release  string // hash
	Recall   string // hash, now
	Every    string // by hash
}

func scanAnswer(r Row) (store.Answer, error) {
	a := store.Answer{Status: int(r.Int(2)), Header: r.Blob(3), Body: r.Blob(4)}
	copy(a.Key.Hash[:], r.Blob(0))
	copy(a.Key.Fingerprint[:], r.Blob(1))
	a.Key.ExpiresAt = r.Time(5)
	return a, nil
}

// answerValues are an answer's columns, and the moment.
func answerValues(a *store.Answer, now time.Time) []any {
	return []any{a.Key.Hash[:], a.Key.Fingerprint[:], a.Status, a.Header, a.Body, a.Key.ExpiresAt, now}
}

// MessageKeySQL are the statements of messages' idempotency keys: hash, fingerprint, message, expires_at.
type MessageKeySQL struct {
	Insert string // all columns; one that exists stays
	Every  string // by hash
}

// Reserve takes a key for a request that is being worked on.
func (k *Kinds) Reserve(ctx context.Context, key store.IdempotencyKey, now time.Time) (reserved bool, err error) {
	err = k.access.Change(ctx, func(c Conn) error {
		n, err := c.Exec(k.sql.Answer.Reserve, key.Hash[:], key.Fingerprint[:], key.ExpiresAt, now)
		reserved = n > 0
		return err
	})
	return reserved, err
}

// Release gives a reservation up.
func (k *Kinds) Release(ctx context.Context, hash [32]byte) error {
	return k.access.Change(ctx, func(c Conn) error {
		_, err := c.Exec(k.sql.Answer.Release, hash[:])
		return err
	})
}

// Remember keeps an answer until its key expires.
func (k *Kinds) Remember(ctx context.Context, answer store.Answer, now time.Time) error {
	return k.access.Change(ctx, func(c Conn) error {
		_, err := c.Exec(k.sql.Answer.Remember, answerValues(&answer, now)...)
		return err
	})
}

// Recall finds an unexpired answer.
func (k *Kinds) Recall(ctx context.Context, hash [32]byte, now time.Time) (store.Answer, error) {
	return Get(ctx, k.access.Read, scanAnswer, k.sql.Answer.Recall, hash[:], now)
}
