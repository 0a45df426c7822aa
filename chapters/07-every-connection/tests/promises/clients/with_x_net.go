// Go's HTTP/2, of golang.org/x/net: eight goroutines on one connection.
package main

import (
	"bytes"
	"crypto/tls"
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
	path, method, wanted := "/", "GET", 200
	if number%3 == 2 {
		body = bytes.Repeat([]byte("x"), int(number*7919%60000))
		path, method = "/echo", "POST"
		// The server answers at once, and leaves the body unread.
		if number%4 == 3 {
			path, wanted = "/", 405
		}
	}
	request, err := http.NewRequest(method, "http://"+os.Args[1]+path, bytes.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		log.Fatalf("request %d: %v", number, err)
	}
	got, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil || answer.StatusCode != wanted || path == "/echo" && !bytes.Equal(got, body) {
		log.Fatalf("request %d: %s, %d bytes, %v", number, answer.Status, len(got), err)
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
		fmt.Printf("generation %d answers\n", generation)
	}
}

func main() {
	last, _ = strconv.ParseInt(os.Args[2], 10, 64)
	dial := func(network, address string, _ *tls.Config) (net.Conn, error) {
		if atomic.AddInt64(&dialled, 1) > 1 {
			log.Fatal("a second connection is asked for")
		}
		return net.Dial(network, address)
	}
	client := &http.Client{Transport: &http2.Transport{AllowHTTP: true, DialTLS: dial}}
	var all sync.WaitGroup
	for i := 0; i < 8; i++ {
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
