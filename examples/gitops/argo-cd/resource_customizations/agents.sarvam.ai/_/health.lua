-- Every kind of this group follows kstatus: Ready is always there, Reconciling and Stalled only while they are True.
-- What each reason means: https://github.com/sarvam-operator/sarvam-operator/blob/main/docs/status.md
local health = {status = "Progressing", message = "Waiting for the operator"}

if obj.metadata.deletionTimestamp ~= nil then
  health.message = "Pending deletion"
  return health
end

-- The conditions speak of an older spec, or nobody has written them yet.
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health
end

for _, condition in ipairs(obj.status.conditions or {}) do
  if condition.type == "Ready" then
    health.message = condition.message
    if condition.status == "True" then
      health.status = "Healthy"
    end
  elseif condition.type == "Stalled" and condition.status == "True" then
    health.message = condition.message
    -- spec.suspend leaves a difference as it is: somebody wants that.
    if condition.reason == "Suspended" then
      health.status = "Suspended"
    else
      health.status = "Degraded"
    end
  end
end

return health
