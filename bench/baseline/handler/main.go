// Command handler is a bare Echo handler that enqueues with asynq as its README
// does. It decodes a message and promises nothing beyond that: the least that
// an API over asynq can do.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"github.com/hibiken/asynq"
	"github.com/labstack/echo/v4"
)

type message struct {
	Account  string `json:"account"`
	To       string `json:"to"`
	Type     string `json:"type"`
	Priority string `json:"priority"`
	Text     struct {
		Body string `json:"body"`
	} `json:"text"`
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: handler LISTEN REDIS")
		os.Exit(2)
	}
	client := asynq.NewClient(asynq.RedisClientOpt{Addr: os.Args[2]})
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.POST("/v1/messages", func(c echo.Context) error {
		var m message
		if err := c.Bind(&m); err != nil {
			return err
		}
		payload, err := json.Marshal(m)
		if err != nil {
			return err
		}
		info, err := client.Enqueue(asynq.NewTask("message:send", payload))
		if err != nil {
			return err
		}
		return c.JSON(http.StatusAccepted, map[string]string{"id": info.ID, "status": "queued"})
	})
	fmt.Fprintln(os.Stderr, e.Start(os.Args[1]))
	os.Exit(1)
}
