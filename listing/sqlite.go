package listing

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"siaran"
)

const (
	busyTimeout = 5 * time.Second // for other processes with the same file, such as a backup
	readers     = 4
	maxHistory  = 1000 // broadcasts kept of one stream
	sqlitePause = 250 * time.Millisecond
)

// SQLite is the listing in a single file. Several processes may have the same file open.
type SQLite struct {
	path   string
	now    func() time.Time
	writer *sql.DB // one connection
	reader *sql.DB
	byName *sql.Stmt // of reader: whoever comes to watch has it run once
	live   *liveFeed

	close sync.Once
	ended context.Context // when Close is called
	end   context.CancelFunc
}

var _ siaran.Listing = (*SQLite)(nil)

// Option changes how a database is opened.
type Option func(*SQLite)

// WithClock has leases measured by now in place of time.Now.
func WithClock(now func() time.Time) Option { return func(s *SQLite) { s.now = now } }

// OpenSQLite opens the listing in the file at path and creates it when there is none; its
// folder must exist. A file that is damaged, of another program or of a newer version is
// left as it is; the error says what to do.
func OpenSQLite(ctx context.Context, path string, options ...Option) (*SQLite, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("listing: %w", err)
	}
	if err := checkHeader(path); err != nil {
		return nil, fmt.Errorf("listing %s: %w", path, err)
	}
	s := &SQLite{path: path, now: time.Now}
	for _, o := range options {
		o(s)
	}
	s.ended, s.end = context.WithCancel(context.Background())
	if s.writer, err = connect(path, 1, "_txlock=immediate", "_pragma=synchronous(FULL)"); err != nil {
		return nil, s.explain("open", err)
	}
	if err := prepare(ctx, s.writer); err != nil {
		return nil, errors.Join(s.explain("open", err), s.writer.Close())
	}
	if s.reader, err = connect(path, readers, "_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(s.explain("open", err), s.writer.Close())
	}
	if s.byName, err = s.reader.PrepareContext(ctx, streamByName); err != nil {
		return nil, errors.Join(s.explain("open", err), s.reader.Close(), s.writer.Close())
	}
	watch, err := connect(path, 1, "_pragma=query_only(1)")
	if err != nil {
		return nil, errors.Join(s.explain("open", err), s.byName.Close(), s.reader.Close(), s.writer.Close())
	}
	s.live = newLiveFeed(s, watch)
	return s, nil
}

// countPause implements paced: a write costs the disk a moment, and what people see should follow them quickly.
func (s *SQLite) countPause() time.Duration { return sqlitePause }

// connect makes a pool of at most n connections.
func connect(path string, n int, parameters ...string) (*sql.DB, error) {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") { // C:/...
		slashed = "/" + slashed
	}
	name := (&url.URL{Scheme: "file", Path: slashed}).String()
	parameters = append(parameters, fmt.Sprintf("_pragma=busy_timeout(%d)", busyTimeout.Milliseconds()))
	db, err := sql.Open("sqlite", name+"?mode=rw&"+strings.Join(parameters, "&"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// Close ends all watches and lets go of the file. What is called afterwards fails with siaran.ErrClosed.
func (s *SQLite) Close() error {
	var err error
	s.close.Do(func() {
		s.end()
		err = errors.Join(s.live.close(), s.byName.Close(), s.reader.Close(), s.writer.Close())
	})
	return err
}

// write runs f in a transaction that no other writer runs beside.
func (s *SQLite) write(ctx context.Context, doing string, f func(tx *sql.Tx) error) error {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return s.explain(doing, err)
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return s.explain(doing, err)
	}
	if err := tx.Commit(); err != nil {
		return s.explain(doing, err)
	}
	s.live.poke()
	return nil
}

// explain says in plain words what can be done about err. Errors of the domain stay as they are.
func (s *SQLite) explain(doing string, err error) error {
	for _, known := range []error{siaran.ErrUnknownStream, siaran.ErrUnknownNode, siaran.ErrStreamTaken, siaran.ErrNotOwner} {
		if errors.Is(err, known) {
			return err
		}
	}
	if s.ended.Err() != nil {
		err = siaran.ErrClosed
	} else if help := advice(err); help != nil {
		err = fmt.Errorf("%w (%w)", help, err)
	}
	return fmt.Errorf("listing %s: %s: %w", s.path, doing, err)
}

var (
	errUnwritable = errors.New("the server must be allowed to read and write the file and its folder")
	errBusy       = errors.New("another program holds the file; end it")
	errFull       = errors.New("the disk is full; make room")
	errDisk       = errors.New("the disk fails; look at the system's log")
)

func advice(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Code() & 0xff { // the rest tells details
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return errDamaged
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return errUnwritable
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return errBusy
	case sqlite3.SQLITE_FULL:
		return errFull
	case sqlite3.SQLITE_IOERR:
		return errDisk
	}
	return nil
}

// micros is how times stand in the database.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
