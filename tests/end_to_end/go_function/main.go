// A function as a Go programmer writes it: aws-lambda-go alone, nothing that knows of Lambent.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-lambda-go/lambdaurl"
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

// A web server as `lambdaurl` runs it: what it flushes is heard at once.
func serve(out http.ResponseWriter, in *http.Request) {
	out.Header().Set("Content-Type", "text/event-stream")
	out.Header().Set("X-Path", in.URL.Path)
	http.SetCookie(out, &http.Cookie{Name: "a", Value: "b"})
	out.WriteHeader(http.StatusAccepted)
	for i := 0; i < 3; i++ {
		fmt.Fprintf(out, "piece %d\n", time.Now().UnixMilli())
		time.Sleep(100 * time.Millisecond)
	}
}

func main() {
	if os.Getenv("_HANDLER") == "url" {
		lambdaurl.Start(http.HandlerFunc(serve))
	}
	lambda.Start(handle)
}
