// The server that tableflip's documentation shows, with http.Server's Shutdown for the old process. SIGUSR2 replaces it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cloudflare/tableflip"
)

func main() {
	address := flag.String("listen", "127.0.0.1:48567", "where")
	flag.Parse()

	upgrader, err := tableflip.New(tableflip.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer upgrader.Stop()

	// Before it is ready: whoever sees that it serves may upgrade it.
	upgrade := make(chan os.Signal, 1)
	signal.Notify(upgrade, syscall.SIGUSR2)
	go func() {
		for range upgrade {
			if err := upgrader.Upgrade(); err != nil {
				log.Println("upgrade failed:", err)
			}
		}
	}()

	listener, err := upgrader.Fds.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	pid := fmt.Sprint(os.Getpid())
	hello := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("x-pid", pid)
		fmt.Fprintf(w, "hello from pid %s\n", pid)
	}
	server := http.Server{Handler: http.HandlerFunc(hello)}
	go func() {
		if err := server.Serve(listener); err != http.ErrServerClosed {
			log.Println(err)
		}
	}()

	if err := upgrader.Ready(); err != nil {
		log.Fatal(err)
	}
	<-upgrader.Exit()

	// Five seconds, as ours.
	deadline, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(deadline); err != nil {
		log.Println(err)
	}
}
