// A load generator: clients in a closed loop, each of which asks again when its answer is there.
//
// What is asked stands in a file and is the same in each request; who calls it (tests/benchmarks) has made it.
// Prints one JSON object.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type options struct {
	grpc        bool
	library     bool
	address     string
	path        string
	contentType string
	headers     []string
	body        []byte
	expected    []byte
	clients     int
	warmUp      time.Duration
	duration    time.Duration
	requests    int64
	wait        time.Duration
	pause       time.Duration
	think       time.Duration
	tolerate    map[int]bool
}

// One client; its answer is valid until it asks again.
type client interface {
	ask() (status int, answer []byte, err error)
	close()
}

type result struct {
	Requests     uint64         `json:"requests"`
	Seconds      float64        `json:"seconds"`
	PerSecond    float64        `json:"per_second"`
	Errors       uint64         `json:"errors"`
	FirstError   string         `json:"first_error,omitempty"`
	Statuses     map[int]uint64 `json:"statuses"`
	P50          float64        `json:"p50_ms"`
	P90          float64        `json:"p90_ms"`
	P99          float64        `json:"p99_ms"`
	Max          float64        `json:"max_ms"`
	CPUSeconds   float64        `json:"own_cpu_seconds"`
	AnswerBytes  int            `json:"answer_bytes"`
	CheckedWhole uint64         `json:"checked_whole"`
}

func main() {
	o := read()
	out, err := run(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(out)
}

func read() options {
	var o options
	var bodyFile, expectedFile string
	flag.BoolVar(&o.grpc, "grpc", false, "gRPC instead of HTTP/1.1")
	flag.BoolVar(&o.library, "library", false, "with gRPC's own client, which costs more than most servers")
	flag.StringVar(&o.address, "address", "", "host:port; on the loopback network only")
	flag.StringVar(&o.path, "path", "", "path of the URL, or full name of the method")
	flag.StringVar(&o.contentType, "content-type", "application/json", "of the body")
	flag.StringVar(&bodyFile, "body", "", "file with what is asked")
	flag.StringVar(&expectedFile, "expect", "", "file with bytes that each answer that is looked at has to hold")
	flag.IntVar(&o.clients, "clients", 1, "")
	flag.DurationVar(&o.warmUp, "warm-up", 500*time.Millisecond, "not measured")
	flag.DurationVar(&o.duration, "duration", 3*time.Second, "measured")
	flag.Int64Var(&o.requests, "requests", 0, "end after so many instead")
	flag.DurationVar(&o.wait, "wait", 30*time.Second, "for an answer")
	flag.DurationVar(&o.pause, "pause", 0, "after an answer that is tolerated, before asking again")
	flag.DurationVar(&o.think, "think", 0, "after each answer, before asking again")
	o.tolerate = map[int]bool{}
	flag.Func("tolerate", "a status that is no error here; repeatable", func(text string) error {
		var code int
		_, err := fmt.Sscan(text, &code)
		o.tolerate[code] = true
		return err
	})
	flag.Func("header", "Name: value; repeatable", func(text string) error {
		o.headers = append(o.headers, text)
		return nil
	})
	flag.Parse()
	host, _, err := net.SplitHostPort(o.address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		fail(fmt.Errorf("-address %q is not an address of the loopback network with a port", o.address))
	}
	o.body = content(bodyFile)
	if expectedFile != "" {
		o.expected = content(expectedFile)
	}
	return o
}

func content(file string) []byte {
	data, err := os.ReadFile(file)
	if err != nil {
		fail(err)
	}
	return data
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(2)
}

func (o *options) connect() (client, error) {
	if o.grpc && !o.library {
		return newLeanGRPCClient(o.address, o.path, o.body, o.wait), nil
	}
	if o.grpc {
		return newGRPCClient(o.address, o.path, o.body, o.wait)
	}
	return newHTTPClient(o.address, o.path, o.contentType, o.headers, o.body, o.wait), nil
}

// What one client has seen.
type tally struct {
	latencies histogram
	statuses  map[int]uint64
	errors    uint64
	first     error
	whole     uint64
	size      int
}

// One in so many answers is looked at whole; the status of each is.
const sample = 64

func run(o options) (*result, error) {
	tallies := make([]tally, o.clients)
	var measuring, stopping atomic.Bool
	var left atomic.Int64
	left.Store(o.requests)
	var group sync.WaitGroup
	for index := range tallies {
		c, err := o.connect()
		if err != nil {
			return nil, err
		}
		group.Add(1)
		go func() {
			defer group.Done()
			defer c.close()
			o.loop(c, &tallies[index], &measuring, &stopping, &left)
		}()
	}
	time.Sleep(o.warmUp)
	cpu, started := ownCPU(), time.Now()
	measuring.Store(true)
	if o.requests == 0 {
		time.Sleep(o.duration)
		stopping.Store(true)
	}
	seconds := time.Since(started).Seconds()
	spent := ownCPU() - cpu
	group.Wait()
	if o.requests != 0 {
		seconds, spent = time.Since(started).Seconds(), ownCPU()-cpu
	}
	return o.sum(tallies, seconds, spent), nil
}

func (o *options) loop(c client, t *tally, measuring, stopping *atomic.Bool, left *atomic.Int64) {
	t.statuses = map[int]uint64{}
	for number := 0; !stopping.Load(); number++ {
		counts := measuring.Load()
		if counts && o.requests != 0 && left.Add(-1) < 0 {
			return
		}
		began := time.Now()
		status, answer, err := c.ask()
		took := time.Since(began)
		if stopping.Load() {
			return // It ended after the time that is measured.
		}
		trouble := o.check(t, number, status, answer, err)
		if trouble != nil {
			t.errors++
			if t.first == nil {
				t.first = trouble
			}
			time.Sleep(10 * time.Millisecond)
		} else if o.tolerate[status] {
			time.Sleep(o.pause)
		}
		if counts {
			t.latencies.add(took)
			t.statuses[status]++
		}
		if o.think > 0 {
			time.Sleep(o.think)
		}
	}
}

func (o *options) check(t *tally, number, status int, answer []byte, err error) error {
	if err != nil {
		return err
	}
	if o.tolerate[status] {
		return nil
	}
	if status != 200 && !(o.grpc && status == 0) {
		return fmt.Errorf("status %d: %.300s", status, answer)
	}
	if number%sample != 0 {
		return nil
	}
	t.whole++
	t.size = len(answer)
	if len(answer) == 0 {
		return errors.New("an empty answer")
	}
	if !bytes.Contains(answer, o.expected) {
		return fmt.Errorf("the answer is not what was expected: %.300q", answer)
	}
	return nil
}

func (o *options) sum(tallies []tally, seconds, cpu float64) *result {
	out := &result{Seconds: seconds, CPUSeconds: cpu, Statuses: map[int]uint64{}}
	var all histogram
	for index := range tallies {
		t := &tallies[index]
		all.merge(&t.latencies)
		for status, count := range t.statuses {
			out.Statuses[status] += count
		}
		out.Errors += t.errors
		out.CheckedWhole += t.whole
		out.AnswerBytes = max(out.AnswerBytes, t.size)
		if out.FirstError == "" && t.first != nil {
			out.FirstError = t.first.Error()
		}
	}
	out.Requests = all.total
	out.PerSecond = float64(all.total) / seconds
	out.P50, out.P90, out.P99 = all.quantile(0.5), all.quantile(0.9), all.quantile(0.99)
	out.Max = all.max.Seconds() * 1000
	return out
}

func ownCPU() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
