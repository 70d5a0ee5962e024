package sqlmeta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/moorgate/moorgate/internal/meta"
)

// tx is a meta.Tx. Its methods are in the files named after what they keep.
type tx struct {
	ctx     context.Context // of the statements
	q       querier
	dialect *dialect
	write   bool
	refuse  error // of whatever writes, if not nil
	failed  error // the first fault of the database; nothing may be committed then
}

var _ meta.Tx = (*tx)(nil)

// fault notes and describes an error of the database.
func (t *tx) fault(err error) error {
	err = t.dialect.describe(err)
	if t.failed == nil {
		t.failed = err
	}
	return err
}

// describe adds to an error of the database what the caller must know of it.
func (d *dialect) describe(err error) error {
	if err != nil && d.fault(err) == faultNoSpace {
		return fmt.Errorf("%w: %w", meta.ErrNoSpace, err)
	}
	return err
}

// mayWrite reports why a statement may not change anything.
func (t *tx) mayWrite(query string) error {
	if !t.write {
		return t.fault(fmt.Errorf("write in a transaction that only reads: %.40s", query))
	}
	if t.refuse != nil {
		return t.fault(t.refuse)
	}
	return nil
}

// insert runs a statement that adds a row and returns its number.
func (t *tx) insert(query string, args ...any) (int64, error) {
	if err := t.mayWrite(query); err != nil {
		return 0, err
	}
	return value[int64](t, query, args...)
}

// exec runs a statement that changes something and returns how many rows it
// changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	if err := t.mayWrite(query); err != nil {
		return 0, err
	}
	result, err := t.q.ExecContext(t.ctx, t.dialect.bind(query), args...)
	if err != nil {
		return 0, t.fault(err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return 0, t.fault(err)
	}
	return n, nil
}

// execOne is exec for a statement that must find something to change.
//
// Errors: meta.ErrNotFound.
func (t *tx) execOne(query string, args ...any) error {
	n, err := t.exec(query, args...)
	if err == nil && n == 0 {
		return meta.ErrNotFound
	}
	return err
}

// row scans the first row of a query into dest.
//
// Errors: meta.ErrNotFound if there is none.
func (t *tx) row(dest []any, query string, args ...any) error {
	rows, err := t.q.QueryContext(t.ctx, t.dialect.bind(query), args...)
	if err != nil {
		return t.fault(err)
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return t.fault(err)
		}
		return meta.ErrNotFound
	}
	if err := rows.Scan(dest...); err != nil {
		return t.fault(err)
	}
	if err := rows.Close(); err != nil {
		return t.fault(err)
	}
	return nil
}

// value returns the one column of the first row of a query.
//
// Errors: meta.ErrNotFound if there is no row.
func value[T any](t *tx, query string, args ...any) (T, error) {
	var v T
	err := t.row([]any{&v}, query, args...)
	return v, err
}

// exists reports whether a query returns a row.
func (t *tx) exists(query string, args ...any) (bool, error) {
	var one int
	err := t.row([]any{&one}, query, args...)
	if errors.Is(err, meta.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// list returns one value for each row of a query.
func list[T any](t *tx, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := t.q.QueryContext(t.ctx, t.dialect.bind(query), args...)
	if err != nil {
		return nil, t.fault(err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, t.fault(err)
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil {
		return nil, t.fault(err)
	}
	return all, nil
}

// column scans rows of one column.
func column[T any](rows *sql.Rows) (v T, err error) {
	err = rows.Scan(&v)
	return v, err
}
