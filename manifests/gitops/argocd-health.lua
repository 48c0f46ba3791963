-- How Argo CD tells the health of a ModelDeployment; flux-health.yaml says the same to Flux.
--
-- Put this file into Argo CD's own ConfigMap:
--
--   kubectl patch configmap argocd-cm --namespace argocd --type merge --patch "$(jq --null-input \
--     --rawfile lua manifests/gitops/argocd-health.lua \
--     '{data: {"resource.customizations.health.modelops.dev_ModelDeployment": $lua}}')"
--
-- A model that was rolled back is Degraded although its predecessor serves: what Git asks for is refused, and someone
-- has to choose another model. One that waits for a person is Suspended, so that a sync does not wait for it.

local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

if (status.observedGeneration or 0) < (obj.metadata.generation or 1) then
  return { status = "Progressing", message = "The operator has not acted on this spec yet." }
end

local stalled = conditions["Stalled"]
if stalled and stalled.status == "True" then
  return { status = "Degraded", message = stalled.message }
end

local annotations = obj.metadata.annotations or {}
if obj.spec.paused or annotations["modelops.dev/paused"] == "true" then
  return { status = "Suspended", message = "Paused: the traffic is held where it is." }
end

local ready = conditions["Ready"]
if ready and (ready.reason == "AwaitingApproval" or ready.reason == "Paused") then
  return { status = "Suspended", message = ready.message }
end
if ready and ready.status == "True" then
  return { status = "Healthy", message = ready.message }
end

return { status = "Progressing", message = ready and ready.message or "The operator has told nothing yet." }
