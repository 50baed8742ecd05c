// Package web is the application that people see: its source in ui, in
// TypeScript, and what is built of it in dist, which is part of the binary.
//
// Promise: a browser that has these files needs nothing from any other host, and
// they work under any route prefix. dist is the source in ui, built by make web;
// a test compares their checksums.
//
// Above: server, which serves Files. Below: nothing of this module.
// Concurrency: Files may be used by any number of requests.
// Read files.go first, then ui/src/main.tsx.
package web
