// A function as a Go programmer writes it: aws-lambda-go alone, nothing that knows of Lambent.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Action string `json:"action"`
	Name   string `json:"name"`
}

type answer struct {
	Greeting  string `json:"greeting"`
	RequestID string `json:"requestId"`
	ARN       string `json:"arn"`
	Function  string `json:"function"`
	LeftMS    int64  `json:"leftMs"`
	Count     int    `json:"count"`
}

type wrongName struct{ name string }

func (e wrongName) Error() string { return "no such name: " + e.name }

var count int

func handle(ctx context.Context, in event) (any, error) {
	count++
	switch in.Action {
	case "fail":
		return nil, errors.New("it failed")
	case "typed":
		return nil, wrongName{in.Name}
	case "panic":
		panic("it panicked")
	case "exit":
		os.Exit(7)
	case "stream":
		reader, writer := io.Pipe()
		go func() {
			for i := 0; i < 3; i++ {
				fmt.Fprintf(writer, "piece %d\n", time.Now().UnixMilli())
				time.Sleep(100 * time.Millisecond)
			}
			if in.Name == "broken" {
				writer.CloseWithError(wrongName{in.Name})
			}
			writer.Close()
		}()
		return reader, nil
	case "sleep":
		time.Sleep(time.Hour)
	}
	found, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	return answer{
		Greeting:  "Hello, " + in.Name,
		RequestID: found.AwsRequestID,
		ARN:       found.InvokedFunctionArn,
		Function:  lambdacontext.FunctionName,
		LeftMS:    time.Until(deadline).Milliseconds(),
		Count:     count,
	}, nil
}

func main() { lambda.Start(handle) }
