// One signal, two channels. One has room for it; the other has none, and nobody is reading it at that moment.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	unbuffered := make(chan os.Signal)
	buffered := make(chan os.Signal, 1)
	signal.Notify(unbuffered, syscall.SIGUSR1)
	signal.Notify(buffered, syscall.SIGUSR1)

	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println("room for one: ", <-buffered)

	// What was caught before Stop has been delivered when it returns; later signals are not sent to this channel.
	signal.Stop(unbuffered)
	select {
	case sig := <-unbuffered:
		fmt.Println("room for none:", sig)
	default:
		fmt.Println("room for none: nothing")
	}
}
