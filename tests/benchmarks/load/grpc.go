package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

// A client of gRPC with a connection of its own, as a process that calls a server has.
type grpcClient struct {
	conn   *grpc.ClientConn
	method string
	body   []byte
	answer []byte
	wait   time.Duration
}

func newGRPCClient(address, method string, body []byte, wait time.Duration) (*grpcClient, error) {
	conn, err := grpc.NewClient(
		"passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		// Windows of a fixed size: else the client measures the line with a ping for each answer, which has nothing to
		// measure here and costs it more than the call.
		grpc.WithInitialWindowSize(1<<20),
		grpc.WithInitialConnWindowSize(1<<20),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(asIs{}), grpc.MaxCallRecvMsgSize(64<<20)),
	)
	if err != nil {
		return nil, err
	}
	return &grpcClient{conn: conn, method: method, body: body, wait: wait}, nil
}

// The status is that of gRPC; 0 is OK.
func (c *grpcClient) ask() (int, []byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.wait)
	defer cancel()
	err := c.conn.Invoke(ctx, c.method, &c.body, &c.answer)
	if err != nil {
		code := int(status.Code(err))
		return code, []byte(status.Convert(err).Message()), nil
	}
	return 0, c.answer, nil
}

func (c *grpcClient) close() {
	c.conn.Close()
}

// A codec that passes messages through as the bytes they are: who made them knows what they mean.
type asIs struct{}

func (asIs) Name() string { return "proto" }

func (asIs) Marshal(message any) (mem.BufferSlice, error) {
	content, ok := message.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("%T is not bytes", message)
	}
	return mem.BufferSlice{mem.SliceBuffer(*content)}, nil
}

func (asIs) Unmarshal(data mem.BufferSlice, message any) error {
	target, ok := message.(*[]byte)
	if !ok {
		return fmt.Errorf("%T is not bytes", message)
	}
	*target = data.Materialize()
	return nil
}
