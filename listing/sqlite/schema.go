package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// applicationID marks the file as ours in its header ("SIAR"; PRAGMA application_id).
const applicationID = 0x53494152

// migrations bring a file from the schema version of their index to the next. Released ones are never edited. Times are
// microseconds since 1970, 0 for none.
var migrations = []string{`
CREATE TABLE nodes (
	name        TEXT PRIMARY KEY,
	url         TEXT NOT NULL,
	lease_until INTEGER NOT NULL,
	viewers     INTEGER NOT NULL
) STRICT;

CREATE TABLE streams (
	name           TEXT PRIMARY KEY,
	title          TEXT NOT NULL DEFAULT '',
	description    TEXT NOT NULL DEFAULT '',
	owner          TEXT NOT NULL DEFAULT '',
	visibility     TEXT NOT NULL DEFAULT 'public',
	key_generation INTEGER NOT NULL DEFAULT 0,
	status         TEXT NOT NULL DEFAULT 'offline',
	node           TEXT NOT NULL DEFAULT '',
	broadcast      TEXT NOT NULL DEFAULT '',
	started_at     INTEGER NOT NULL DEFAULT 0,
	media          TEXT NOT NULL DEFAULT '{}',
	viewers        INTEGER NOT NULL DEFAULT 0,
	updated_at     INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX streams_live ON streams (node) WHERE status <> 'offline';

CREATE TABLE broadcasts (
	id            TEXT PRIMARY KEY,
	stream        TEXT NOT NULL,
	node          TEXT NOT NULL,
	owner         TEXT NOT NULL,
	status        TEXT NOT NULL,
	started_at    INTEGER NOT NULL,
	ended_at      INTEGER NOT NULL,
	end_reason    TEXT NOT NULL,
	media         TEXT NOT NULL,
	viewers       INTEGER NOT NULL,
	peak_viewers  INTEGER NOT NULL,
	total_viewers INTEGER NOT NULL,
	updated_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX broadcasts_history ON broadcasts (stream, started_at);
CREATE INDEX broadcasts_running ON broadcasts (node) WHERE ended_at = 0;

CREATE TABLE viewers (
	broadcast TEXT NOT NULL,
	id        TEXT NOT NULL,
	stream    TEXT NOT NULL,
	node      TEXT NOT NULL,
	joined_at INTEGER NOT NULL,
	path      TEXT NOT NULL,
	PRIMARY KEY (broadcast, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX viewers_stream ON viewers (stream, joined_at);
CREATE INDEX viewers_node ON viewers (node);
`, `
CREATE INDEX streams_owner ON streams (owner);
`, `
ALTER TABLE streams ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
`, `
ALTER TABLE streams ADD COLUMN max_viewers INTEGER NOT NULL DEFAULT 0;
ALTER TABLE streams ADD COLUMN embed_sites TEXT NOT NULL DEFAULT '';
`}

const (
	fileHeader   = "SQLite format 3\x00"
	smallestPage = 512 // bytes; every page size is a multiple of it
)

// checkHeader looks at the file before SQLite does, and creates it if there is none. If it returns an error, it has not
// changed the file.
func checkHeader(path string) error {
	// Other users of this machine must not read titles and owners. SQLite gives the -wal and -shm files the same mode.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		if info, statErr := os.Stat(filepath.Dir(path)); statErr != nil || !info.IsDir() {
			return fmt.Errorf("%w; the folder must exist before the server starts", err)
		}
		return fmt.Errorf("%w; the server must be allowed to read and write this file and its folder", err)
	}
	defer f.Close()
	head := make([]byte, len(fileHeader))
	n, err := io.ReadFull(f, head)
	switch {
	case err == io.EOF: // empty: new
		return nil
	case err != nil && err != io.ErrUnexpectedEOF:
		return err
	case string(head[:n]) != fileHeader:
		return errForeign
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	// SQLite would read a truncated last page as if the rest were zeros. If the server was killed while it copied the
	// write-ahead log into the file, the log repairs it.
	if _, err := os.Stat(path + "-wal"); info.Size()%smallestPage != 0 && errors.Is(err, fs.ErrNotExist) {
		return errDamaged
	}
	return nil
}

var (
	errForeign = errors.New("this is not a database of siaran and has not been changed; give another path, " +
		"or move the file away and start again to begin with an empty listing")
	errDamaged = errors.New("the database is damaged and has not been changed; put a backup in its place, " +
		"or move it away together with its -wal and -shm files and start again to begin with an empty listing")
)

// prepare checks the database and brings its schema up to date.
func prepare(ctx context.Context, db *sql.DB) error {
	version, err := schemaVersion(ctx, db)
	if err != nil {
		return err
	}
	// Nothing may be written to the file before this.
	var verdict string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("%w (%s)", errDamaged, verdict)
	}
	// It is stored in the file, and cannot be set in a transaction.
	if _, err := db.ExecContext(ctx, `PRAGMA journal_mode = WAL`); err != nil {
		return err
	}
	if version == len(migrations) {
		return nil
	}
	return migrate(ctx, db)
}

func migrate(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	version, err := schemaVersion(ctx, tx) // again: another process may have migrated it
	if err != nil {
		return err
	}
	for ; version < len(migrations); version++ {
		if _, err := tx.ExecContext(ctx, migrations[version]); err != nil {
			return fmt.Errorf("bringing the schema from version %d to %d: %w", version, version+1, err)
		}
	}
	mark := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, version)
	if _, err := tx.ExecContext(ctx, mark); err != nil {
		return err
	}
	return tx.Commit()
}

type rowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// schemaVersion is 0 for an empty database. It fails if the file belongs to another program or a newer version of this
// one.
func schemaVersion(ctx context.Context, q rowQuerier) (int, error) {
	var application, version, tables int
	err := q.QueryRowContext(ctx, `SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_schema)
		FROM pragma_application_id a, pragma_user_version v`).Scan(&application, &version, &tables)
	switch {
	case err != nil:
		return 0, err
	case application == applicationID && version > len(migrations):
		return 0, fmt.Errorf("the database is of a newer version of siaran (its schema is %d, this version knows up to %d) "+
			"and has not been changed; run the newer version, or put an older backup in its place", version, len(migrations))
	case application == applicationID && version > 0:
		return version, nil
	case application != 0 || version != 0 || tables != 0:
		return 0, errForeign
	}
	return 0, nil
}
