// Package backup copies the files of a store into a repository and back: to a
// folder or a bucket, every file once by its content, each backup whole or not
// there.
//
// A repository holds two kinds of objects:
//
//	objects/ab/abcd...        a file, named by the SHA-256 of its content
//	backups/TIME-ID.json      a backup: which files, of which content
//
// Files of a store never change once written, so that the next backup uploads
// what is new and names the rest. A backup's own object is written last, after
// all files have been read back; until then there is no backup, however far the
// upload got.
//
// Above: server, which takes the snapshot that is copied and opens what is
// restored. Below: the standard library and minio-go.
// Concurrency: a Repository may be used by several goroutines. Backups into one
// repository may run together; Prune should not run beside them.
// Read save.go first, then manifest.go and restore.go.
package backup
