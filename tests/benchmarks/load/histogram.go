package main

import (
	"math/bits"
	"time"
)

// A histogram keeps latencies to 1 part in 128, from 1 µs to hours, in a fixed array: nothing grows while it measures.
type histogram struct {
	counts [buckets]uint64
	total  uint64
	max    time.Duration
}

const (
	fineBits = 7 // 128 steps for each doubling.
	buckets  = (40 - fineBits + 1) << fineBits
)

func bucket(micros uint64) int {
	shift := max(bits.Len64(micros)-fineBits-1, 0)
	return min(shift<<fineBits+int(micros>>shift), buckets-1)
}

// The upper end of a bucket, in microseconds.
func (h *histogram) upper(index int) float64 {
	shift := max(index>>fineBits-1, 0)
	return float64(uint64(index-shift<<fineBits+1) << shift)
}

func (h *histogram) add(latency time.Duration) {
	h.counts[bucket(uint64(latency.Microseconds()))]++
	h.total++
	h.max = max(h.max, latency)
}

func (h *histogram) merge(other *histogram) {
	for index, count := range other.counts {
		h.counts[index] += count
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// The latency, in milliseconds, that this share of the requests did not exceed.
func (h *histogram) quantile(share float64) float64 {
	if h.total == 0 {
		return 0
	}
	wanted, seen := uint64(share*float64(h.total-1)), uint64(0)
	for index, count := range h.counts {
		if seen += count; seen > wanted {
			return h.upper(index) / 1000
		}
	}
	return h.max.Seconds() * 1000
}
