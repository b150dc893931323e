-- Health of a ModelDeployment in Argo CD: the rules of kstatus, and Suspended for a rollout that waits for a person.
-- observedGeneration comes first: a status about an older spec tells nothing about this one.
local health = {status = "Progressing", message = "waiting for the operator"}
local status = obj.status
if status == nil or status.observedGeneration ~= obj.metadata.generation then
  return health
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local function is(kind)
  return conditions[kind] ~= nil and conditions[kind].status == "True"
end

if conditions.Ready ~= nil then
  health.message = conditions.Ready.reason .. ": " .. (conditions.Ready.message or "")
end
if is("Stalled") then
  health.status = "Degraded"
elseif is("Reconciling") then
  if status.phase == "Paused" then
    health.status = "Suspended"
  end
elseif is("Ready") then
  health.status = "Healthy"
end
return health
