package sqlite

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
	busyTimeout = 5 * time.Second // while another process, such as a backup, holds the file
	readers     = 4
	maxHistory  = 1000 // broadcasts of one stream that are kept
	writePause  = 250 * time.Millisecond
)

// Listing is the listing in a single file. Several processes may have the same file open.
type Listing struct {
	path   string
	now    func() time.Time
	writer *sql.DB // one connection
	reader *sql.DB
	byName *sql.Stmt // of reader; it runs once for every viewer who comes
	live   *liveFeed

	close sync.Once
	ended context.Context // when Close is called
	end   context.CancelFunc
}

var _ siaran.Listing = (*Listing)(nil)

// Option changes how Open opens a database.
type Option func(*Listing)

// WithClock measures leases by now instead of time.Now. It is for tests.
func WithClock(now func() time.Time) Option { return func(s *Listing) { s.now = now } }

// Open opens the listing in the file at path, and creates the file if there is none; its folder must exist. A file that
// is damaged, or that belongs to another program or a newer version, is not changed; the error says what to do.
func Open(ctx context.Context, path string, options ...Option) (*Listing, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("listing: %w", err)
	}
	if err := checkHeader(path); err != nil {
		return nil, fmt.Errorf("listing %s: %w", path, err)
	}
	s := &Listing{path: path, now: time.Now}
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

// WritePause implements listing.WritePacer. It is short: a write costs little, and people should see changes soon.
func (s *Listing) WritePause() time.Duration { return writePause }

// connect opens a pool of at most n connections.
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

// Close ends all watches and closes the file. Calls that come later fail with siaran.ErrClosed.
func (s *Listing) Close() error {
	var err error
	s.close.Do(func() {
		s.end()
		err = errors.Join(s.live.close(), s.byName.Close(), s.reader.Close(), s.writer.Close())
	})
	return err
}

// write runs f in a transaction. There is one at a time.
func (s *Listing) write(ctx context.Context, doing string, f func(tx *sql.Tx) error) error {
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

// explain adds to an error what can be done about it. Errors of the domain stay as they are.
func (s *Listing) explain(doing string, err error) error {
	for _, known := range []error{siaran.ErrUnknownStream, siaran.ErrUnknownNode, siaran.ErrStreamLive,
		siaran.ErrStreamTaken, siaran.ErrNotOwner, siaran.ErrTooManyNames} {
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
	errDisk       = errors.New("the disk fails; check the system's log")
)

func advice(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Code() & 0xff { // the other bits are details
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
