package reference

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"github.com/varve-db/varve/ingest/otlp"
	"github.com/varve-db/varve/series"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files")

// protobufOf turns a request in JSON into protobuf, by OpenTelemetry's own code.
func protobufOf(t testing.TB, inJSON []byte) []byte {
	t.Helper()
	request := pmetricotlp.NewExportRequest()
	if err := request.UnmarshalJSON(inJSON); err != nil {
		t.Fatal(err)
	}
	body, err := request.MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestGolden decodes the requests in testdata, in protobuf and in JSON, adding up
// deltas.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no requests: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			inJSON, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(file, ".json") + ".txt"
			for kind, body := range map[string][]byte{"protobuf": protobufOf(t, inJSON), "JSON": inJSON} {
				d := otlp.NewDecoder(otlp.Options{Deltas: otlp.NewDeltas(otlp.DeltaOptions{}), Promote: []string{"deployment.environment"}})
				decode := d.Decode
				if kind == "JSON" {
					decode = d.DecodeJSON
				}
				var b series.Batch
				if err := decode(&b, body); err != nil {
					t.Fatal(err)
				}
				got := text(dump(&b))
				if *rewrite {
					if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if got != string(want) {
					t.Errorf("%s: got\n%swant\n%s", kind, got, want)
				}
			}
		})
	}
}
