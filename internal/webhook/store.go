package webhook

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver

	"siaran"
)

const schemaVersion = 1

// A message is kept once for each receiver that has not taken it. Times are microseconds since 1970.
const schema = `
CREATE TABLE IF NOT EXISTS messages (
	seq      INTEGER PRIMARY KEY AUTOINCREMENT,
	receiver TEXT NOT NULL,
	id       TEXT NOT NULL,
	stream   TEXT NOT NULL,
	at       INTEGER NOT NULL,
	viewers  INTEGER NOT NULL,
	body     BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS living (
	broadcast TEXT PRIMARY KEY,
	data      TEXT NOT NULL
) STRICT;
`

// store is the file that messages wait in. Its methods may be called from any goroutine.
type store struct{ db *sql.DB }

func openStore(ctx context.Context, path string) (*store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // SQLite gives the files beside it the same mode
	if err != nil {
		return nil, err
	}
	f.Close()
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") { // C:/...
		slashed = "/" + slashed
	}
	name := (&url.URL{Scheme: "file", Path: slashed}).String() + "?mode=rw&_txlock=immediate" +
		"&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)"
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if err := prepare(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w; if it is damaged, move it away together with its -wal and -shm "+
			"files, and start again: what waited in it is then not sent", path, err), db.Close())
	}
	return &store{db}, nil
}

func prepare(ctx context.Context, db *sql.DB) error {
	var version int
	if err := db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return err
	}
	if version > schemaVersion {
		return fmt.Errorf("it is of a newer version of siaran (%d, this one knows %d)", version, schemaVersion)
	}
	_, err := db.ExecContext(ctx, schema+fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
	return err
}

func (s *store) close() error { return s.db.Close() }

// inTransaction runs f in a transaction.
func (s *store) inTransaction(f func(tx *sql.Tx) error) error {
	tx, err := s.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// write adds messages for all receivers, and says which broadcasts live, unless that is nil. It returns the number of
// each message for each receiver.
func (s *store) write(messages []message, receivers []string, living []streamData) (numbers [][]int64, err error) {
	err = s.inTransaction(func(tx *sql.Tx) error {
		for _, m := range messages {
			row := make([]int64, len(receivers))
			for i, receiver := range receivers {
				result, err := tx.Exec(
					`INSERT INTO messages (receiver, id, stream, at, viewers, body) VALUES (?, ?, ?, ?, ?, ?)`,
					receiver, m.id, string(m.stream), m.at.UnixMicro(), m.viewers, m.body,
				)
				if err != nil {
					return err
				}
				if row[i], err = result.LastInsertId(); err != nil {
					return err
				}
			}
			numbers = append(numbers, row)
		}
		if living == nil {
			return nil
		}
		return writeLiving(tx, living)
	})
	return numbers, err
}

func writeLiving(tx *sql.Tx, living []streamData) error {
	if _, err := tx.Exec(`DELETE FROM living`); err != nil {
		return err
	}
	for _, b := range living {
		text, err := json.Marshal(b)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO living (broadcast, data) VALUES (?, ?)`, string(b.Broadcast), string(text))
		if err != nil {
			return err
		}
	}
	return nil
}

// remove forgets messages, which were taken or dropped.
func (s *store) remove(items []item) error {
	return s.inTransaction(func(tx *sql.Tx) error {
		for _, it := range items {
			if _, err := tx.Exec(`DELETE FROM messages WHERE seq = ?`, it.seq); err != nil {
				return err
			}
		}
		return nil
	})
}

// body reads a message.
func (s *store) body(ctx context.Context, seq int64) (body []byte, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT body FROM messages WHERE seq = ?`, seq).Scan(&body)
	return body, err
}

// load calls each with what waits for the receivers, in order, and forgets what waits for others. It returns how many
// messages it has forgotten, and the broadcasts that lived.
func (s *store) load(
	ctx context.Context, receivers []string, each func(receiver string, stream siaran.StreamName, it item),
) (forgotten int64, living []streamData, err error) {
	names, err := json.Marshal(receivers)
	if err != nil {
		return 0, nil, err
	}
	result, err := s.db.ExecContext(ctx,
		`DELETE FROM messages WHERE receiver NOT IN (SELECT value FROM json_each(?))`, string(names))
	if err != nil {
		return 0, nil, err
	}
	if forgotten, err = result.RowsAffected(); err != nil {
		return 0, nil, err
	}
	if err := s.loadMessages(ctx, each); err != nil {
		return 0, nil, err
	}
	living, err = s.loadLiving(ctx)
	return forgotten, living, err
}

func (s *store) loadMessages(
	ctx context.Context, each func(receiver string, stream siaran.StreamName, it item),
) error {
	rows, err := s.db.QueryContext(ctx,
		`SELECT seq, receiver, id, stream, at, viewers, length(body) FROM messages ORDER BY seq`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var it item
		var receiver, stream string
		var at int64
		if err := rows.Scan(&it.seq, &receiver, &it.id, &stream, &at, &it.viewers, &it.size); err != nil {
			return err
		}
		it.at = time.UnixMicro(at)
		each(receiver, siaran.StreamName(stream), it)
	}
	return rows.Err()
}

func (s *store) loadLiving(ctx context.Context) (living []streamData, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT data FROM living`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		var data streamData
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(text), &data); err != nil {
			return nil, err
		}
		living = append(living, data)
	}
	return living, rows.Err()
}
