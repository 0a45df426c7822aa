// The server that grace's documentation shows: an http.Server, served by gracehttp. SIGUSR2 replaces it.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/facebookgo/grace/gracehttp"
)

func main() {
	address := flag.String("listen", "127.0.0.1:48567", "where")
	flag.Parse()
	pid := fmt.Sprint(os.Getpid())
	hello := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("x-pid", pid)
		fmt.Fprintf(w, "hello from pid %s\n", pid)
	}
	if err := gracehttp.Serve(&http.Server{Addr: *address, Handler: http.HandlerFunc(hello)}); err != nil {
		log.Fatal(err)
	}
}
