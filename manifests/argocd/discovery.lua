-- Which commands Argo CD offers for a ModelDeployment: those that would do something now, as in `kubectl seatrial`.
local status = obj.status or {}
local candidate = status.candidate
local stalled = false
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Stalled" then
    stalled = condition.status == "True"
  end
end

-- The newest verdict on the version that the spec asks for; without one, whether anything was refused.
local model = obj.spec.model
local function rejected()
  for _, verdict in ipairs(status.verdicts or {}) do
    local same = model.version == nil or verdict.modelVersion == model.version
    if verdict.sha256 == model.sha256 and same then
      return verdict.verdict == "Rejected"
    end
  end
  return stalled
end

local held = candidate ~= nil and candidate.hold ~= nil
local paused = held and candidate.hold.reason == "Paused"
local promoting = candidate ~= nil and candidate.promoting == true and not held
local rolling = candidate ~= nil and not promoting

return {
  ["promote"] = {disabled = not rolling},
  ["promote-full"] = {disabled = not rolling},
  ["abort"] = {disabled = candidate == nil and status.previous == nil},
  ["pause"] = {disabled = candidate == nil or held or (promoting and candidate.weight == 100)},
  ["resume"] = {disabled = not paused},
  ["retry"] = {disabled = candidate ~= nil or not rejected()},
}
