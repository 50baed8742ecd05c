package backup

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Bucket is a Repository in an S3 bucket, or in one of a server that speaks its
// protocol.
type Bucket struct {
	client       *minio.Client
	name, prefix string
}

// BucketOptions say how a bucket is reached. The zero value is Amazon's S3 over
// TLS. Keys come from the environment (AWS_ACCESS_KEY_ID, ...), from the
// credentials file of the AWS tools, or from the machine's role, never from here.
type BucketOptions struct {
	Endpoint  string // host:port; default s3.amazonaws.com
	Region    string
	Insecure  bool              // plain HTTP
	PathStyle bool              // the bucket is in the path, not the host name
	Attempts  int               // at a request that fails; default 10
	Transport http.RoundTripper // default minio's
}

// NewBucket returns the repository under prefix in the bucket called name.
func NewBucket(name, prefix string, o BucketOptions) (*Bucket, error) {
	if o.Endpoint == "" {
		o.Endpoint = "s3.amazonaws.com"
	}
	lookup := minio.BucketLookupAuto
	if o.PathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.New(o.Endpoint, &minio.Options{
		Creds: credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.EnvMinio{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
		}),
		Secure: !o.Insecure, Region: o.Region, BucketLookup: lookup, MaxRetries: o.Attempts, Transport: o.Transport,
	})
	if err != nil {
		return nil, fmt.Errorf("reach bucket %s at %s: %w", name, o.Endpoint, err)
	}
	return &Bucket{client, name, strings.Trim(prefix, "/")}, nil
}

func (b *Bucket) key(name string) string { return path.Join(b.prefix, name) }

// partBytes is what an upload in parts sends at a time; it holds one in memory.
const partBytes = 32 << 20

// Put uploads an object, in parts if it is large.
func (b *Bucket) Put(ctx context.Context, name string, content io.Reader, size int64) error {
	_, err := b.client.PutObject(ctx, b.name, b.key(name), content, size, minio.PutObjectOptions{
		ContentType: "application/octet-stream", PartSize: partBytes, NumThreads: 1, SendContentMd5: true,
	})
	return b.wrap("upload", name, err)
}

// Get downloads an object.
func (b *Bucket) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	object, err := b.client.GetObject(ctx, b.name, b.key(name), minio.GetObjectOptions{})
	if err == nil {
		if _, err = object.Stat(); err == nil { // the request is made here
			return object, nil
		}
		object.Close() //nolint:errcheck // there is nothing to close
	}
	return nil, b.wrap("download", name, err)
}

// List lists objects.
func (b *Bucket) List(ctx context.Context, prefix string) ([]Object, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	under := b.prefix
	if under != "" {
		under += "/"
	}
	var list []Object
	for info := range b.client.ListObjects(ctx, b.name, minio.ListObjectsOptions{Prefix: under + prefix, Recursive: true}) {
		if info.Err != nil {
			return nil, b.wrap("list", prefix, info.Err)
		}
		list = append(list, Object{strings.TrimPrefix(info.Key, under), info.Size, info.LastModified})
	}
	return list, nil
}

// Remove deletes an object.
func (b *Bucket) Remove(ctx context.Context, name string) error {
	return b.wrap("remove", name, b.client.RemoveObject(ctx, b.name, b.key(name), minio.RemoveObjectOptions{}))
}

func (b *Bucket) wrap(verb, name string, err error) error {
	switch {
	case err == nil:
		return nil
	case minio.ToErrorResponse(err).Code == minio.NoSuchKey:
		return fmt.Errorf("%s s3://%s/%s: %w", verb, b.name, b.key(name), ErrNotFound)
	}
	return fmt.Errorf("%s s3://%s/%s: %w", verb, b.name, b.key(name), err)
}
