package tsdb

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/varve-db/varve/series"
)

// TestFormatDocument expects docs/FORMAT.md to show what is written.
func TestFormatDocument(t *testing.T) {
	text, err := os.ReadFile("../docs/FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	var plain strings.Builder // the first columns of the examples
	for line := range strings.Lines(string(text)) {
		example, _, _ := strings.Cut(strings.TrimSpace(line), "    ")
		plain.WriteString(strings.ReplaceAll(example, " ", ""))
	}
	for name, golden := range map[string]string{
		"log record": goldenRecord, "log key": "57" + "0000000000000001" + "0000000000000001", "mark": "45" + "0000000000000001",
		"metadata key": hex.EncodeToString(metadataKey(9, "up")),
		"metadata":     hex.EncodeToString(encodeMetadata(series.Metadata{Metric: "up", Type: "gauge", Unit: "s", Help: "Is it?"})),
		"node":         hex.EncodeToString(nodeKey), "horizon": hex.EncodeToString(horizonKey), "width": hex.EncodeToString(widthKey),
	} {
		if !strings.Contains(plain.String(), golden) {
			t.Errorf("the example of the %s, %s, is not in docs/FORMAT.md", name, golden)
		}
	}
}
