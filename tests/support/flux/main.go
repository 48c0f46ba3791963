// Evaluates health checks as Flux's kustomize-controller does, by its own code.
//
// Reads {"checks": {"current": …, "inProgress": …, "failed": …}, "objects": […]} from its input, and writes a list with
// the status of each object, or the error that Flux would see.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	var given struct {
		Checks  kustomize.HealthCheckExpressions `json:"checks"`
		Objects []*unstructured.Unstructured     `json:"objects"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		log.Fatal(err)
	}
	evaluator, err := cel.NewStatusEvaluator(&given.Checks)
	if err != nil {
		log.Fatal(err)
	}
	said := []string{}
	for _, object := range given.Objects {
		result, err := evaluator.Evaluate(context.Background(), object)
		if err != nil {
			said = append(said, "error: "+err.Error())
			continue
		}
		said = append(said, string(result.Status))
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		log.Fatal(err)
	}
}
