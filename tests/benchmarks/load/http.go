package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// A client of HTTP/1.1 on one kept connection. It writes the same bytes each time and reads no more of an answer than
// it must, so that most of the machine's time is left to the server.
type httpClient struct {
	address string
	request []byte
	conn    net.Conn
	reader  *bufio.Reader
	body    []byte
	wait    time.Duration
}

func newHTTPClient(address, path, contentType string, headers []string, body []byte, wait time.Duration) *httpClient {
	var request bytes.Buffer
	fmt.Fprintf(&request, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\n", path, address, contentType)
	for _, header := range headers {
		fmt.Fprintf(&request, "%s\r\n", header)
	}
	fmt.Fprintf(&request, "Content-Length: %d\r\n\r\n", len(body))
	request.Write(body)
	return &httpClient{address: address, request: request.Bytes(), wait: wait}
}

func (c *httpClient) ask() (status int, answer []byte, err error) {
	if c.conn == nil {
		if c.conn, err = net.Dial("tcp", c.address); err != nil {
			return 0, nil, err
		}
		c.reader = bufio.NewReaderSize(c.conn, 64<<10)
	}
	c.conn.SetDeadline(time.Now().Add(c.wait))
	if _, err = c.conn.Write(c.request); err == nil {
		var closing bool
		if status, answer, closing, err = c.read(); err == nil && !closing {
			return status, answer, nil
		}
	}
	c.close()
	return status, answer, err
}

func (c *httpClient) read() (status int, body []byte, closing bool, err error) {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return 0, nil, false, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, nil, false, fmt.Errorf("no answer of HTTP/1.1: %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, false, err
	}
	length, closing, err := c.headers()
	if err != nil {
		return status, nil, closing, err
	}
	if length == chunked {
		body, err = c.chunks()
		return status, body, closing, err
	}
	if length < 0 {
		return status, nil, closing, fmt.Errorf("an answer (status %d) that does not say how long it is", status)
	}
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	c.body = c.body[:length]
	_, err = io.ReadFull(c.reader, c.body)
	return status, c.body, closing, err
}

const chunked = -2

func (c *httpClient) headers() (length int, closing bool, err error) {
	length = -1
	for {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			return 0, false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return length, closing, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, false, err
			}
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			length = chunked
		case bytes.EqualFold(name, []byte("connection")):
			closing = bytes.EqualFold(value, []byte("close"))
		}
	}
}

func (c *httpClient) chunks() ([]byte, error) {
	c.body = c.body[:0]
	for {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		size, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return nil, err
		}
		start := len(c.body)
		c.body = append(c.body, make([]byte, size+2)...)
		if _, err := io.ReadFull(c.reader, c.body[start:]); err != nil {
			return nil, err
		}
		c.body = c.body[:start+int(size)]
		if size == 0 {
			return c.body, nil
		}
	}
}

func (c *httpClient) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}
