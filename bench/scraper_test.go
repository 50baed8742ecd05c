package bench

import (
	"context"
	"fmt"
	"testing"
)

// TestScraperScrapesWhatIsSent expects the scraper's series and values to be
// those of the requests of one connection.
func TestScraperScrapesWhatIsSent(t *testing.T) {
	fleet := Fleet{Series: 250, Seed: 3, Labels: []Label{{"load", "test"}}}
	sources, err := NewFleet(FleetOptions{
		Fleet: fleet, Protocol: RemoteWrite1, SamplesPerRequest: 100, Connections: 1, Start: 1_700_000_000_000, Interval: 15_000,
	})
	if err != nil {
		t.Fatal(err)
	}
	s := NewScraper(fleet)
	var values []float64
	for range 3 {
		values = s.Next(values)
		at := 0
		for range sources[0].FirstPass() {
			body, ok := sources[0].Next(context.Background())
			if !ok {
				t.Fatal("the fleet ended")
			}
			for _, got := range decode(t, RemoteWrite1, body.Bytes) {
				if want := fmt.Sprint(s.Series[at]); got.series != want || got.value != values[at] {
					t.Fatalf("series %d is %s with %v, sent were %s with %v", at, want, values[at], got.series, got.value)
				}
				at++
			}
		}
		if at != fleet.Series || at != len(values) || at != len(s.Target) {
			t.Fatalf("%d series were sent, %d scraped", at, len(values))
		}
	}
}
