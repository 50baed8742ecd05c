package codec

import (
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fastest keeps the shortest time of a pass. It is the processor time of the
// benchmark's thread: a long pass would otherwise rarely go uninterrupted on a
// busy machine, which would favour the faster codec.
type fastest time.Duration

func newFastest() fastest { return math.MaxInt64 }

func (f *fastest) since(start time.Duration) { *f = min(*f, fastest(threadTime()-start)) }

// threadTime returns the processor time that the calling thread has used.
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(fmt.Sprintf("read the thread's clock: %v", err))
	}
	return time.Duration(t.Nano())
}

func (f fastest) report(b *testing.B, samples int, unit string) {
	b.ReportMetric(float64(f)/float64(samples), unit)
}

// forAll runs a benchmark for all captures, codecs and lengths.
func forAll(b *testing.B, run func(*testing.B, *capture, codec)) {
	for _, data := range dataSets {
		b.Run(data.name, func(b *testing.B) {
			captures := map[int]*capture{}
			for _, codec := range codecs() {
				b.Run(codec.name, func(b *testing.B) {
					for _, n := range data.lengths {
						if n > xorSamplesMax && codec.name == "prometheus-xor" {
							continue
						}
						b.Run(fmt.Sprint(n), func(b *testing.B) {
							if captures[n] == nil {
								captures[n] = cut(seriesOf(b, data.name), n)
							}
							runtime.LockOSThread() // see threadTime
							defer runtime.UnlockOSThread()
							run(b, captures[n], codec)
						})
					}
				})
			}
		})
	}
}

// BenchmarkDecode decodes everything, timestamps and values, in each iteration.
func BenchmarkDecode(b *testing.B) {
	forAll(b, func(b *testing.B, c *capture, codec codec) {
		e, err := codec.encode(c)
		if err != nil {
			b.Fatal(err)
		}
		nothing := func([]int64, []float64) {}
		alone := newFastest()
		pass := func() error {
			start := threadTime()
			defer alone.since(start)
			return e.each(nothing)
		}
		d, ok := e.(divided)
		if !ok {
			decodeLoop(b, pass)
			alone.report(b, c.samples, "min-ns/sample")
		} else {
			benchmarkDivided(b, c, d)
			for range 3 {
				if err := pass(); err != nil {
					b.Fatal(err)
				}
			}
			alone.report(b, c.samples, "alone-ns/sample")
		}
		b.ReportMetric(float64(e.size())/float64(c.samples), "bytes/sample")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(c.samples), "ns/sample")
	})
}

func decodeLoop(b *testing.B, pass func() error) {
	b.ReportAllocs()
	for b.Loop() {
		if err := pass(); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkDivided(b *testing.B, c *capture, d divided) {
	both, values := newFastest(), newFastest()
	decodeLoop(b, func() error {
		start := threadTime()
		if err := d.decodeTimes(); err != nil {
			return err
		}
		middle := threadTime()
		err := d.decodeValues()
		values.since(middle)
		both.since(start)
		return err
	})
	both.report(b, c.samples, "min-ns/sample")
	values.report(b, c.samples, "values-ns/sample")
}

// BenchmarkEncode encodes everything in each iteration.
func BenchmarkEncode(b *testing.B) {
	forAll(b, func(b *testing.B, c *capture, codec codec) {
		best, size := newFastest(), 0
		for b.Loop() {
			start := threadTime()
			e, err := codec.encode(c)
			if err != nil {
				b.Fatal(err)
			}
			best.since(start)
			size = e.size()
		}
		best.report(b, c.samples, "min-ns/sample")
		b.ReportMetric(float64(size)/float64(c.samples), "bytes/sample")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(c.samples), "ns/sample")
	})
}
