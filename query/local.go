package query

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/varve-db/varve/query/exec"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb"
)

// Columnar is storage that can be read in columns too; queries from it run on the
// columnar executor.
type Columnar interface {
	storage.Queryable
	// Columns returns a view of the samples with times in [mint, maxt].
	Columns(mint, maxt int64) (exec.Querier, error)
}

// Local returns a tenant's samples in db.
func Local(db *tsdb.DB, tenant series.TenantID) Columnar {
	return local{Queryable: db.Queryable(tenant), db: db, tenant: tenant}
}

type local struct {
	storage.Queryable
	db     *tsdb.DB
	tenant series.TenantID
}

// Columns implements Columnar.
func (l local) Columns(mint, maxt int64) (exec.Querier, error) {
	q, err := l.db.Querier(l.tenant, mint, maxt)
	if err != nil {
		return nil, err
	}
	return localQuerier{q}, nil
}

// Changes implements Tracked.
func (l local) Changes() Changes { return l.db.Changes(l.tenant) }

// localQuerier implements exec.Querier, and says from when on it reads.
type localQuerier struct{ *tsdb.Querier }

func (q localQuerier) Select(ctx context.Context, mint, maxt int64, ms []*labels.Matcher) (exec.Selection, error) {
	set, err := q.SelectColumns(ctx, mint, maxt, ms...)
	if err != nil {
		return nil, err
	}
	return localSelection{set}, nil
}

// localSelection implements exec.Selection.
type localSelection struct{ *tsdb.ColumnSet }

func (s localSelection) Reader() exec.Reader { return s.ColumnSet.Reader() }

// Count implements exec.Counter.
func (q localQuerier) Count(ctx context.Context, c exec.Census) (groups []exec.Counted, points int64, ok bool, err error) {
	counted, ok, err := q.Census(ctx, tsdb.Census(c))
	groups = make([]exec.Counted, len(counted.Groups))
	for i, g := range counted.Groups {
		groups[i] = exec.Counted(g)
	}
	return groups, counted.Points, ok, err
}
