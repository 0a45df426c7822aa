// Go's HTTP/1 or HTTP/2 over its own TLS: a few goroutines on one connection. It is given an address, a generation, a file with the
// certificate, and `1` or `2`; it asks until that generation has answered, and says when one has answered first.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http2"
)

var asked, answered, dialled, newest, last int64
var printing sync.Mutex

func ask(client *http.Client, number int64) {
	body := []byte(nil)
	path, method := "/", "GET"
	if number%3 == 2 {
		body = bytes.Repeat([]byte("x"), int(number*7919%60000))
		path, method = "/echo", "POST"
	}
	request, err := http.NewRequest(method, "https://"+os.Args[1]+path, bytes.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		log.Fatalf("request %d: %v", number, err)
	}
	got, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil || answer.StatusCode != 200 || path == "/echo" && !bytes.Equal(got, body) {
		log.Fatalf("request %d: %s, %d bytes, %v", number, answer.Status, len(got), err)
	}
	if answer.TLS == nil || answer.TLS.Version != tls.VersionTLS13 {
		log.Fatal("that is not TLS 1.3")
	}
	atomic.AddInt64(&answered, 1)
	generation, err := strconv.ParseInt(answer.Header.Get("X-Generation"), 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	printing.Lock()
	defer printing.Unlock()
	if generation > atomic.LoadInt64(&newest) {
		atomic.StoreInt64(&newest, generation)
		fmt.Printf("generation %d answers over %s\n", generation, answer.Proto)
	}
}

func main() {
	last, _ = strconv.ParseInt(os.Args[2], 10, 64)
	certificate, err := os.ReadFile(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(certificate)
	config := &tls.Config{RootCAs: trusted, ServerName: "localhost"}
	dial := func(network, address string, config *tls.Config) (net.Conn, error) {
		if atomic.AddInt64(&dialled, 1) > 1 {
			log.Fatal("a second connection is asked for")
		}
		return tls.Dial(network, address, config)
	}
	goroutines := 4
	var transport http.RoundTripper = &http2.Transport{TLSClientConfig: config, DialTLS: dial}
	if os.Args[4] == "1" {
		goroutines = 1
		transport = &http.Transport{DialTLSContext: func(_ context.Context, network, address string) (net.Conn, error) {
			return dial(network, address, config)
		}}
	}
	client := &http.Client{Transport: transport}
	var all sync.WaitGroup
	for i := 0; i < goroutines; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for atomic.LoadInt64(&newest) < last {
				ask(client, atomic.AddInt64(&asked, 1))
			}
		}()
	}
	all.Wait()
	fmt.Printf("answered=%d\n", answered)
}
