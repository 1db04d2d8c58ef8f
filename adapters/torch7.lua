-- Torch's side of torch7.py: tensors by number, and networks of nn's own modules.
--
-- A network comes as a list of nodes {module, reads, ...}: what a node reads is a place in the
-- list (0 is the input), or a table of places for a module that takes a table. Its fields
-- `weight`, `bias`, `running_mean` and `running_var` are names, to which `bind` gives a tensor.

local ffi = require 'ffi'
require 'torch'
require 'nn'

local TRAINED = {weight = 'gradWeight', bias = 'gradBias'}
local STATE = {'running_mean', 'running_var'}
local tensors, networks, made = {}, {}, 0

local function keep(tensor)
   made = made + 1
   tensors[made] = tensor
   return made
end

local function pointer(address)
   return ffi.cast('void *', ffi.cast('uintptr_t', address))
end

function setup(kind, threads)
   torch.setdefaulttensortype('torch.' .. kind)
   torch.setnumthreads(threads)
end

-- Tensors.

function place(kind, address, bytes, ...)
   local tensor = torch[kind](...) -- numbers: of a LongStorage a LongTensor would be a view
   ffi.copy(tensor:data(), pointer(address), bytes)
   return keep(tensor)
end

function fetch(number, address, bytes)
   local tensor = tensors[number]:contiguous()
   ffi.copy(pointer(address), tensor:data(), bytes)
end

function clone(number) return keep(tensors[number]:clone()) end

function zeros(number) return keep(tensors[number]:clone():zero()) end

function release(number) tensors[number] = nil end

function tidy() collectgarbage() end

function forget()
   networks = {}
   collectgarbage()
end

-- Networks.

local function places(node)
   return type(node[2]) == 'table' and node[2] or {node[2]}
end

-- `output` is the place whose value is wanted; `image` says whether the input's gradient is.
function define(nodes, output, training, image)
   local net = {
      nodes = nodes, output = output, values = {}, uses = {}, wanted = {[0] = image},
      params = {}, velocity = {}, gradients = {},
      criterion = nn.ClassNLLCriterion(), loss = torch.Tensor(1),
   }
   local function use(name, where, field)
      net.uses[name] = net.uses[name] or {}
      table.insert(net.uses[name], {where = where, field = field})
   end
   use('input', net.values, 0)
   use('labels', net, 'labels')
   for place, node in ipairs(nodes) do
      local module = node[1]
      if training then module:training() else module:evaluate() end
      for _, from in ipairs(places(node)) do node.passes = node.passes or net.wanted[from] end
      net.wanted[place] = node.passes or (node.weight or node.bias) ~= nil
      for _, field in ipairs(STATE) do
         if node[field] then use(node[field], module, field) end
      end
      for field, gradient in pairs(TRAINED) do
         local name = node[field]
         if name then
            use(name, module, field)
            use(name, net.params, name)
            use('velocity of ' .. name, net.velocity, name)
            net.gradients[name] = net.gradients[name] or module[gradient]
            module[gradient] = net.gradients[name] -- one, where two modules share a parameter
         end
      end
   end
   table.insert(networks, net)
   return #networks
end

function bind(number, name, tensor)
   for _, use in ipairs(networks[number].uses[name]) do use.where[use.field] = tensors[tensor] end
end

-- A result's number, once a call has made it: its tensor is the same one from then on.
function result(number, name)
   local net = networks[number]
   return keep(name == 'output' and net.values[net.output] or name == 'loss' and net.loss
      or name == 'input' and net.image or net.gradients[name])
end

local function input_of(net, node)
   if type(node[2]) == 'number' then return net.values[node[2]] end
   local inputs = {}
   for i, from in ipairs(node[2]) do inputs[i] = net.values[from] end
   return inputs
end

local function forward(net)
   for place, node in ipairs(net.nodes) do
      net.values[place] = node[1]:forward(input_of(net, node))
   end
   return net.values[net.output]
end

-- The gradients that meet in one place are added into the first: no module that lies further
-- back reads it again, and none gives one buffer to two of its inputs.
local function backward(net, dy)
   local grads = {[net.output] = dy}
   local function meet(place, grad)
      if not net.wanted[place] then return end
      grads[place] = grads[place] and grads[place]:add(grad) or grad
   end
   for place = #net.nodes, 1, -1 do
      local node, grad = net.nodes[place], grads[place]
      if grad and node.passes then
         local passed = node[1]:backward(input_of(net, node), grad)
         if type(node[2]) == 'number' then
            meet(node[2], passed)
         else
            for i, from in ipairs(node[2]) do meet(from, passed[i]) end
         end
      elseif grad then
         node[1]:accGradParameters(input_of(net, node), grad)
      end
   end
   net.image = grads[0]
end

-- What is timed.

function infer(number) forward(networks[number]) end

function gradients(number)
   local net = networks[number]
   for _, gradient in pairs(net.gradients) do gradient:zero() end
   local y = forward(net)
   local loss = net.criterion:forward(y, net.labels) -- the first of its two results
   net.loss:fill(loss)
   backward(net, net.criterion:backward(y, net.labels))
end

function train(number, rate, momentum)
   gradients(number)
   local net = networks[number]
   for name, param in pairs(net.params) do
      local velocity = net.velocity[name]
      velocity:mul(momentum):add(net.gradients[name])
      param:add(-rate, velocity)
   end
end
