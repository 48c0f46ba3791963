package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	receiveWindow = 1 << 30
	prefixBytes   = 5 // Of a message: a flag, and its length.
)

// A client of gRPC as lean as the one of HTTP/1.1: one call at a time on a kept connection, with headers that are written
// once. That of the library costs several times what a call costs the server, and they share the processors.
type leanGRPCClient struct {
	address, method string
	message         []byte
	conn            net.Conn
	output          bytes.Buffer
	framer          *http2.Framer
	decoder         *hpack.Decoder
	encoder         *hpack.Encoder
	encoded         bytes.Buffer
	headers         []byte // What the second request says, and all that follow: nothing new for the table of headers.
	stream          uint32
	window          int // What the server still takes on this connection.
	streamWindow    int
	taken           int
	status          int
	why             string
	answer          []byte
	wait            time.Duration
}

func newLeanGRPCClient(address, method string, body []byte, wait time.Duration) *leanGRPCClient {
	message := make([]byte, prefixBytes, prefixBytes+len(body))
	binary.BigEndian.PutUint32(message[1:], uint32(len(body)))
	return &leanGRPCClient{address: address, method: method, message: append(message, body...), wait: wait}
}

func (c *leanGRPCClient) ask() (int, []byte, error) {
	if c.conn == nil {
		if err := c.connect(); err != nil {
			c.close()
			return 0, nil, err
		}
	}
	c.conn.SetDeadline(time.Now().Add(c.wait))
	if err := c.call(); err != nil {
		c.close()
		return 0, nil, err
	}
	if c.status != 0 {
		return c.status, []byte(c.why), nil
	}
	if len(c.answer) < prefixBytes {
		return 0, nil, errors.New("an answer without a message")
	}
	return 0, c.answer[prefixBytes:], nil
}

func (c *leanGRPCClient) connect() (err error) {
	if c.conn, err = net.Dial("tcp", c.address); err != nil {
		return err
	}
	c.output.Reset()
	c.output.WriteString(http2.ClientPreface)
	c.framer = http2.NewFramer(&c.output, bufio.NewReaderSize(c.conn, 64<<10))
	c.framer.SetReuseFrames()
	c.decoder = hpack.NewDecoder(4096, c.header)
	c.encoder = hpack.NewEncoder(&c.encoded)
	c.window, c.streamWindow, c.stream, c.taken = 65535, 65535, 1, 0
	c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: receiveWindow})
	return c.framer.WriteWindowUpdate(0, receiveWindow)
}

func (c *leanGRPCClient) header(field hpack.HeaderField) {
	switch field.Name {
	case "grpc-status":
		c.status, _ = strconv.Atoi(field.Value)
	case "grpc-message":
		c.why = field.Value
	}
}

// The block of headers of a request: the first one fills the table of the connection, the later ones refer to it.
func (c *leanGRPCClient) block() []byte {
	if c.stream <= 3 {
		c.encoded.Reset()
		c.write(c.encoder)
		c.headers = bytes.Clone(c.encoded.Bytes())
	}
	return c.headers
}

func (c *leanGRPCClient) write(encoder *hpack.Encoder) {
	for _, field := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", c.method}, {":authority", c.address},
		{"content-type", "application/grpc"}, {"user-agent", "load"}, {"te", "trailers"},
	} {
		encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}
}

func (c *leanGRPCClient) call() error {
	id, rest, left := c.stream, c.message, c.streamWindow
	c.status, c.why, c.answer = -1, "", c.answer[:0]
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.block(), EndHeaders: true})
	if err != nil {
		return err
	}
	for ended := false; !ended; {
		for len(rest) > 0 && min(left, c.window) > 0 {
			size := min(len(rest), left, c.window, 16384)
			if err := c.framer.WriteData(id, size == len(rest), rest[:size]); err != nil {
				return err
			}
			rest, left, c.window = rest[size:], left-size, c.window-size
		}
		if c.output.Len() > 0 {
			if _, err := c.conn.Write(c.output.Bytes()); err != nil {
				return err
			}
			c.output.Reset()
		}
		if ended, err = c.read(id, &left); err != nil {
			return err
		}
	}
	c.stream += 2
	if c.output.Len() > 0 {
		_, err = c.conn.Write(c.output.Bytes())
		c.output.Reset()
	}
	if c.status < 0 {
		return errors.New("an answer without a status")
	}
	return err
}

// Take one frame; true if it ends the answer.
func (c *leanGRPCClient) read(id uint32, left *int) (bool, error) {
	frame, err := c.framer.ReadFrame()
	if err != nil {
		return false, err
	}
	switch frame := frame.(type) {
	case *http2.DataFrame:
		c.answer = append(c.answer, frame.Data()...)
		if c.taken += int(frame.Length); c.taken > receiveWindow/2 {
			c.framer.WriteWindowUpdate(0, uint32(c.taken))
			c.taken = 0
		}
		return frame.StreamEnded() && frame.StreamID == id, nil
	case *http2.HeadersFrame:
		if !frame.HeadersEnded() {
			return false, errors.New("headers in several frames")
		}
		_, err := c.decoder.Write(frame.HeaderBlockFragment())
		return frame.StreamEnded() && frame.StreamID == id, err
	case *http2.WindowUpdateFrame:
		if frame.StreamID == 0 {
			c.window += int(frame.Increment)
		} else if frame.StreamID == id {
			*left += int(frame.Increment)
		}
	case *http2.SettingsFrame:
		return false, c.settings(frame, left)
	case *http2.PingFrame:
		if !frame.IsAck() {
			return false, c.framer.WritePing(true, frame.Data)
		}
	case *http2.RSTStreamFrame:
		return false, fmt.Errorf("the server has reset the stream: %v", frame.ErrCode)
	case *http2.GoAwayFrame:
		return false, fmt.Errorf("the server goes away: %v %q", frame.ErrCode, frame.DebugData())
	}
	return false, nil
}

func (c *leanGRPCClient) settings(frame *http2.SettingsFrame, left *int) error {
	if frame.IsAck() {
		return nil
	}
	if value, ok := frame.Value(http2.SettingInitialWindowSize); ok {
		*left += int(value) - c.streamWindow
		c.streamWindow = int(value)
	}
	return c.framer.WriteSettingsAck()
}

func (c *leanGRPCClient) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}
