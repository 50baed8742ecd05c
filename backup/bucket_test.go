package backup

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// bucketServer serves S3 from memory, and fails the requests that fault picks.
func bucketServer(t *testing.T, fault func(r *http.Request) int) string {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("metrics"); err != nil {
		t.Fatal(err)
	}
	handler := gofakes3.New(backend).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := fault(r); status != 0 {
			w.WriteHeader(status)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	return strings.TrimPrefix(server.URL, "http://")
}

func openBucket(t *testing.T, endpoint string) *Bucket {
	t.Helper()
	bucket, err := NewBucket("metrics", "/varve/", BucketOptions{
		Endpoint: endpoint, Region: "us-east-1", Insecure: true, PathStyle: true, Attempts: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return bucket
}

func TestBucketKeepsBackups(t *testing.T) {
	judge(t, openBucket(t, bucketServer(t, func(*http.Request) int { return 0 })))
}

func TestBucketThatFailsHalfWay(t *testing.T) {
	for at := int64(1); ; at++ {
		var requests atomic.Int64
		var healed atomic.Bool
		bucket := openBucket(t, bucketServer(t, func(*http.Request) int {
			if requests.Add(1) >= at && !healed.Load() {
				return http.StatusServiceUnavailable
			}
			return 0
		}))
		_, err := Save(t.Context(), folderOf(monday), bucket, options(taken))
		healed.Store(true)
		names, listErr := Names(t.Context(), bucket)
		if listErr != nil {
			t.Fatal(listErr)
		}
		if err == nil {
			if len(names) != 1 || at < 5 {
				t.Fatalf("%d requests made a backup, backups %v", at, names)
			}
			return
		}
		if len(names) > 0 {
			t.Fatalf("failed from request %d on (%v), there is a backup", at, err)
		}
		save(t, folderOf(monday), bucket, taken.Add(time.Hour))
		got, _ := restoreInto(t, bucket, Latest)
		equal(t, got, monday)
	}
}

func TestBucketRefusals(t *testing.T) {
	forbidden := openBucket(t, bucketServer(t, func(*http.Request) int { return http.StatusForbidden }))
	if _, err := Save(t.Context(), folderOf(monday), forbidden, options(taken)); err == nil || !strings.Contains(err.Error(), "s3://metrics/varve/") {
		t.Errorf("wrong credentials: %v", err)
	}
	nobody := openBucket(t, "127.0.0.1:1")
	if _, err := Save(t.Context(), folderOf(monday), nobody, options(taken)); err == nil {
		t.Error("nobody listens, and a backup was made")
	}
	good := openBucket(t, bucketServer(t, func(*http.Request) int { return 0 }))
	if _, err := good.Get(t.Context(), "objects/none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an object that is not there: %v", err)
	}
	if err := good.Remove(t.Context(), "objects/none"); err != nil {
		t.Errorf("removing what is not there: %v", err)
	}
}
