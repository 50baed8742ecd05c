// Package e2e judges the built program from outside: real senders write to it,
// it is killed and restarted meanwhile, and what it answers is compared with
// what Prometheus holds and computes.
//
// The tests are behind the build tag e2e:
//
//	go test -tags e2e -count=1 ./e2e/...
//
// They want Linux and Debian's packages prometheus and prometheus-node-exporter;
// E2E_WITHOUT_SENDERS=1 leaves out the test that needs those. Further settings,
// all from the environment:
//
//	VARVE_BINARY      the program to judge; without it, one is built
//	E2E_SECONDS       how long the senders send (60)
//	E2E_KILL_ROUNDS   how often the server is killed under writers (5)
//	E2E_SEED          repeats the random choices of an earlier run
//	GRAFANA_CONTRACT  full path of a script that judges the API as Grafana uses it
//	VARVE_SOAK        a duration: send for so long, and kill 200 times
//
// Above: nobody. Below: the program, over HTTP and its command line; only
// Prometheus's packages are linked, as the reference.
// Concurrency: tests run in parallel, each with folders and ports of its own.
// Every process is stopped by its id when its test ends.
// Read main_test.go first, then process_test.go and node_test.go.
package e2e
