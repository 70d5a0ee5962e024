package sqlmeta

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// dialect is what differs between the databases for the code they share.
type dialect struct {
	database   database.Dialect
	migrations string // folder in migrationFiles

	// bind turns the ? of a query into the placeholders of the database.
	bind func(query string) string

	// forUpdate goes behind a SELECT whose row others may not change until the
	// transaction ends.
	forUpdate string

	// fault sorts an error of the driver.
	fault func(error) fault
}

// fault is what an error of the database means for the caller.
type fault int

const (
	faultOther   fault = iota
	faultNoSpace       // the disk is full
	faultRetry         // another transaction came between: the same again may work
)

// questionMarks is dialect.bind for databases that take ? as it is.
func questionMarks(query string) string { return query }

// dollarNumbers is dialect.bind for $1, $2 and so on. No query of this package
// has a ? in a literal.
func dollarNumbers(query string) string {
	var b strings.Builder
	b.Grow(len(query) + 16)
	for n := 1; ; n++ {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
		query = after
	}
}

//go:embed migrations
var migrationFiles embed.FS

// migrate brings the schema of db up to date. It does nothing to a schema that
// is newer than this program: migrations keep older programs working.
func (d *dialect) migrate(ctx context.Context, db *sql.DB, options ...goose.ProviderOption) error {
	files, err := fs.Sub(migrationFiles, d.migrations)
	if err != nil {
		return err
	}
	options = append(options, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	provider, err := goose.NewProvider(d.database, db, files, options...)
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate the schema: %w", err)
	}
	return nil
}
