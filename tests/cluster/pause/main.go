// Command pause is the first process of every pod: it holds the pod's network
// namespace open and ends when told to. It is linked statically and is alone
// in its image, so the cluster needs no image from a registry to start a pod.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
}
