package series

import "context"

// Budget is what a query may still take from storage. Storage charges what it
// reads before, or as, it reads it, and gives up with the error it is handed;
// the error names the limit that was reached. The methods may be called together.
type Budget interface {
	// ChargeBytes charges n bytes of chunks to be decoded.
	ChargeBytes(n int64) error
	// ChargeSeries charges n series that matched.
	ChargeSeries(n int) error
}

// BudgetKey is the key under which a context carries a Budget.
type BudgetKey struct{}

// WithBudget returns a context that carries budget.
func WithBudget(ctx context.Context, budget Budget) context.Context {
	return context.WithValue(ctx, BudgetKey{}, budget)
}

// BudgetFrom returns the budget that ctx carries, nil when it carries none.
func BudgetFrom(ctx context.Context) Budget {
	budget, _ := ctx.Value(BudgetKey{}).(Budget)
	return budget
}
