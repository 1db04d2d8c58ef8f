-- A stand-in for Torch's nn: the modules that adapters/torch7.py writes, with the interface,
-- argument order and habits of nn's (results lie in `output` and `gradInput`, the same tensors at
-- every call; gradients of parameters are added up). Plain loops; nothing of nn's is in it.

require 'torch'

nn = {}

local function class(name, parent)
   local made = {}
   made.__index = made
   setmetatable(made, {
      __index = parent,
      __call = function(_, ...)
         local self = setmetatable({output = torch.Tensor(), gradInput = torch.Tensor()}, made)
         self:__init(...)
         return self
      end,
   })
   nn[name] = made
   return made
end

local Module = class('Module')
function Module:__init() end
function Module:training() self.train = true end
function Module:evaluate() self.train = false end
function Module:forward(input) return self:updateOutput(input) end
function Module:accGradParameters() end
function Module:backward(input, gradOutput)
   self:updateGradInput(input, gradOutput)
   self:accGradParameters(input, gradOutput)
   return self.gradInput
end
function Module:noBias()
   self.bias, self.gradBias = nil, nil
   return self
end
function Module:parametrised(weight, width)
   self.weight, self.gradWeight = torch.Tensor(unpack(weight)), torch.Tensor(unpack(weight))
   self.bias, self.gradBias = torch.Tensor(width), torch.Tensor(width)
end

local function check(tensor, dimensions, channels)
   assert(tensor:dim() == dimensions, 'a tensor of other dimensions expected')
   assert(channels == nil or tensor:size(2) == channels, 'other channels expected')
   return unpack(tensor.sizes)
end

-- Windows: what convolution and pooling have in common. Width before height, as in nn.

local function windows(self, kW, kH, dW, dH, padW, padH)
   self.kW, self.kH, self.dW, self.dH = kW, kH, dW or 1, dH or 1
   self.padW, self.padH = padW or 0, padH or 0
end

local function extents(self, height, width)
   return math.floor((height + 2 * self.padH - self.kH) / self.dH) + 1,
      math.floor((width + 2 * self.padW - self.kW) / self.dW) + 1
end

-- Calls visit(place in the output's plane, place in the input's, place in the kernel).
local function each_window(self, height, width, visit)
   local rows, columns = extents(self, height, width)
   for row = 0, rows - 1 do
      for ky = 0, self.kH - 1 do
         local y = row * self.dH - self.padH + ky
         if y >= 0 and y < height then
            for column = 0, columns - 1 do
               for kx = 0, self.kW - 1 do
                  local x = column * self.dW - self.padW + kx
                  if x >= 0 and x < width then
                     visit(row * columns + column, y * width + x, ky * self.kW + kx)
                  end
               end
            end
         end
      end
   end
end

local Convolution = class('SpatialConvolution', Module)
function Convolution:__init(nInputPlane, nOutputPlane, ...)
   windows(self, ...)
   self.nInputPlane, self.nOutputPlane = nInputPlane, nOutputPlane
   self:parametrised({nOutputPlane, nInputPlane, self.kH, self.kW}, nOutputPlane)
end

-- Calls visit(image, output channel, input channel) with where each begins.
local function each_plane(self, input, visit)
   local batch, channels, height, width = check(input, 4, self.nInputPlane)
   local rows, columns = extents(self, height, width)
   for n = 0, batch - 1 do
      for o = 0, self.nOutputPlane - 1 do
         for c = 0, channels - 1 do
            visit((n * self.nOutputPlane + o) * rows * columns, (n * channels + c) * height * width,
               (o * channels + c) * self.kH * self.kW)
         end
      end
   end
end

function Convolution:updateOutput(input)
   local batch, _, height, width = check(input, 4, self.nInputPlane)
   local rows, columns = extents(self, height, width)
   local y = self.output:resize({batch, self.nOutputPlane, rows, columns}):zero().memory
   local x, w = input.memory, self.weight.memory
   if self.bias then
      for i = 0, self.output:nElement() - 1 do
         y[i] = self.bias.memory[math.floor(i / (rows * columns)) % self.nOutputPlane]
      end
   end
   each_plane(self, input, function(yat, xat, wat)
      each_window(self, height, width, function(i, j, k)
         y[yat + i] = y[yat + i] + w[wat + k] * x[xat + j]
      end)
   end)
   return self.output
end

function Convolution:updateGradInput(input, gradOutput)
   local _, _, height, width = check(input, 4, self.nInputPlane)
   check(gradOutput, 4, self.nOutputPlane)
   local dx = self.gradInput:resize(input.sizes):zero().memory
   local dy, w = gradOutput.memory, self.weight.memory
   each_plane(self, input, function(yat, xat, wat)
      each_window(self, height, width, function(i, j, k)
         dx[xat + j] = dx[xat + j] + w[wat + k] * dy[yat + i]
      end)
   end)
   return self.gradInput
end

function Convolution:accGradParameters(input, gradOutput)
   local _, _, height, width = check(input, 4, self.nInputPlane)
   local dw, dy, x = self.gradWeight.memory, gradOutput.memory, input.memory
   each_plane(self, input, function(yat, xat, wat)
      each_window(self, height, width, function(i, j, k)
         dw[wat + k] = dw[wat + k] + x[xat + j] * dy[yat + i]
      end)
   end)
   if self.gradBias then
      local plane = gradOutput:size(3) * gradOutput:size(4)
      for i = 0, gradOutput:nElement() - 1 do
         local o = math.floor(i / plane) % self.nOutputPlane
         self.gradBias.memory[o] = self.gradBias.memory[o] + dy[i]
      end
   end
end

local Linear = class('Linear', Module)
function Linear:__init(inputs, outputs) self:parametrised({outputs, inputs}, outputs) end

-- Calls visit(place in the output, place in the input, place in the weight).
local function each_product(self, input, visit)
   local outputs, inputs = unpack(self.weight.sizes)
   local batch = check(input, 2, inputs)
   for n = 0, batch - 1 do
      for o = 0, outputs - 1 do
         for i = 0, inputs - 1 do visit(n * outputs + o, n * inputs + i, o * inputs + i) end
      end
   end
end

function Linear:updateOutput(input)
   local y = self.output:resize({input:size(1), self.weight:size(1)}):zero().memory
   local x, w = input.memory, self.weight.memory
   each_product(self, input, function(i, j, k) y[i] = y[i] + w[k] * x[j] end)
   if self.bias then
      for i = 0, self.output:nElement() - 1 do
         y[i] = y[i] + self.bias.memory[i % self.weight:size(1)]
      end
   end
   return self.output
end

function Linear:updateGradInput(input, gradOutput)
   local dx = self.gradInput:resize(input.sizes):zero().memory
   local dy, w = gradOutput.memory, self.weight.memory
   each_product(self, input, function(i, j, k) dx[j] = dx[j] + w[k] * dy[i] end)
   return self.gradInput
end

function Linear:accGradParameters(input, gradOutput)
   local dw, dy, x = self.gradWeight.memory, gradOutput.memory, input.memory
   each_product(self, input, function(i, j, k) dw[k] = dw[k] + x[j] * dy[i] end)
   if self.gradBias then
      for i = 0, gradOutput:nElement() - 1 do
         local o = i % self.weight:size(1)
         self.gradBias.memory[o] = self.gradBias.memory[o] + dy[i]
      end
   end
end

-- Batch norm keeps the unbiased variance, and leaves a single image to the running statistics.

local BatchNorm = class('SpatialBatchNormalization', Module)
function BatchNorm:__init(width, eps, momentum)
   self.eps, self.momentum, self.train = eps or 1e-5, momentum or 0.1, true
   self:parametrised({width}, width)
   self.running_mean, self.running_var = torch.Tensor(width):zero(), torch.Tensor(width):fill(1)
end

local function each_of_channel(input, c, visit)
   local batch, channels, height, width = unpack(input.sizes)
   for n = 0, batch - 1 do
      local from = (n * channels + c) * height * width
      for i = from, from + height * width - 1 do visit(i) end
   end
end

local function statistics(self, input, c)
   if not (self.train and input:size(1) > 1) then
      return self.running_mean.memory[c], self.running_var.memory[c], 1
   end
   local x, sum, squares, n = input.memory, 0, 0, 0
   each_of_channel(input, c, function(i) sum, n = sum + x[i], n + 1 end)
   local mean = sum / n
   each_of_channel(input, c, function(i) squares = squares + (x[i] - mean) ^ 2 end)
   return mean, squares / n, n
end

function BatchNorm:updateOutput(input)
   local _, channels = check(input, 4, self.running_mean:nElement())
   local x, y = input.memory, self.output:resize(input.sizes).memory
   for c = 0, channels - 1 do
      local mean, var, n = statistics(self, input, c)
      local scale, shift = self.weight.memory[c] / math.sqrt(var + self.eps), self.bias.memory[c]
      each_of_channel(input, c, function(i) y[i] = (x[i] - mean) * scale + shift end)
      if n > 1 then
         local keeps, means, vars = self.momentum, self.running_mean.memory, self.running_var.memory
         means[c] = keeps * mean + (1 - keeps) * means[c]
         vars[c] = keeps * var * n / (n - 1) + (1 - keeps) * vars[c]
      end
   end
   return self.output
end

local function sums(self, input, gradOutput, c)
   local mean, var, n = statistics(self, input, c)
   local x, dy, root, sum, dot = input.memory, gradOutput.memory, math.sqrt(var + self.eps), 0, 0
   each_of_channel(input, c, function(i)
      sum, dot = sum + dy[i], dot + dy[i] * (x[i] - mean) / root
   end)
   return mean, root, n, sum, dot
end

function BatchNorm:updateGradInput(input, gradOutput)
   assert(self.train, 'only its training form is differentiated here')
   local x, dy, dx = input.memory, gradOutput.memory, self.gradInput:resize(input.sizes).memory
   for c = 0, input:size(2) - 1 do
      local mean, root, n, sum, dot = sums(self, input, gradOutput, c)
      each_of_channel(input, c, function(i)
         local centred = dy[i] - sum / n - (x[i] - mean) / root * dot / n
         dx[i] = centred * self.weight.memory[c] / root
      end)
   end
   return self.gradInput
end

function BatchNorm:accGradParameters(input, gradOutput)
   for c = 0, input:size(2) - 1 do
      local _, _, _, sum, dot = sums(self, input, gradOutput, c)
      self.gradWeight.memory[c] = self.gradWeight.memory[c] + dot
      self.gradBias.memory[c] = self.gradBias.memory[c] + sum
   end
end

local ReLU = class('ReLU', Module)
function ReLU:__init(inplace) self.inplace = inplace end

function ReLU:updateOutput(input)
   if self.inplace then self.output:share(input, input.sizes) else self.output:resize(input.sizes) end
   for i = 0, input:nElement() - 1 do
      self.output.memory[i] = input.memory[i] > 0 and input.memory[i] or 0
   end
   return self.output
end

function ReLU:updateGradInput(input, gradOutput)
   if self.inplace then
      self.gradInput:share(gradOutput, gradOutput.sizes)
   else
      self.gradInput:resize(input.sizes)
   end
   for i = 0, input:nElement() - 1 do
      self.gradInput.memory[i] = input.memory[i] > 0 and gradOutput.memory[i] or 0
   end
   return self.gradInput
end

local function pooling(name)
   local Pooling = class(name, Module)
   function Pooling:__init(kW, kH, dW, dH, padW, padH)
      windows(self, kW, kH, dW, dH, padW, padH)
      assert(self.padW <= kW / 2 and self.padH <= kH / 2, 'more padding than half the kernel')
   end
   -- Calls one(place in the input, place in the output) for each element of each window.
   function Pooling:each(input, visit)
      local batch, channels, height, width = check(input, 4)
      local rows, columns = extents(self, height, width)
      for plane = 0, batch * channels - 1 do
         each_window(self, height, width, function(i, j)
            visit(plane * rows * columns + i, plane * height * width + j)
         end)
      end
      return {batch, channels, rows, columns}
   end
   function Pooling:pooled(input)
      return {input:size(1), input:size(2), extents(self, input:size(3), input:size(4))}
   end
   return Pooling
end

local Max = pooling('SpatialMaxPooling')
function Max:updateOutput(input)
   local x, y = input.memory, self.output:resize(self:pooled(input)):fill(-math.huge).memory
   self.from = {}
   self:each(input, function(i, j)
      if x[j] > y[i] then y[i], self.from[i] = x[j], j end
   end)
   return self.output
end

function Max:updateGradInput(input, gradOutput)
   local dx, dy = self.gradInput:resize(input.sizes):zero().memory, gradOutput.memory
   for i, j in pairs(self.from) do dx[j] = dx[j] + dy[i] end
   return self.gradInput
end

local Average = pooling('SpatialAveragePooling')
function Average:updateOutput(input)
   local x, y = input.memory, self.output:resize(self:pooled(input)):zero().memory
   self:each(input, function(i, j) y[i] = y[i] + x[j] / (self.kH * self.kW) end)
   return self.output
end

function Average:updateGradInput(input, gradOutput)
   local dx, dy = self.gradInput:resize(input.sizes):zero().memory, gradOutput.memory
   self:each(input, function(i, j) dx[j] = dx[j] + dy[i] / (self.kH * self.kW) end)
   return self.gradInput
end

local Add = class('CAddTable', Module)
function Add:updateOutput(inputs)
   self.output:resize(inputs[1].sizes):copy(inputs[1])
   for i = 2, #inputs do self.output:add(inputs[i]) end
   return self.output
end

function Add:updateGradInput(inputs, gradOutput)
   self.gradInputs = self.gradInputs or {}
   for i = 1, #inputs do
      self.gradInputs[i] = (self.gradInputs[i] or torch.Tensor()):resize(gradOutput.sizes)
      self.gradInputs[i]:copy(gradOutput)
   end
   self.gradInput = self.gradInputs
   return self.gradInput
end

local Join = class('JoinTable', Module)
function Join:__init(dimension)
   assert(dimension == 2, 'channels are joined here')
   self.gradInput = {}
end

-- Calls visit(input's number, place in it, place in what is joined).
local function each_joined(inputs, channels, visit)
   local batch, _, height, width = check(inputs[1], 4)
   local plane, before = height * width, 0
   for which, input in ipairs(inputs) do
      local own = input:size(2) * plane
      for n = 0, batch - 1 do
         for i = 0, own - 1 do visit(which, n * own + i, (n * channels) * plane + before + i) end
      end
      before = before + own
   end
end

local function channels_of(inputs)
   local sum = 0
   for _, input in ipairs(inputs) do sum = sum + input:size(2) end
   return sum
end

function Join:updateOutput(inputs)
   local batch, _, height, width = check(inputs[1], 4)
   local channels = channels_of(inputs)
   local y = self.output:resize({batch, channels, height, width}).memory
   each_joined(inputs, channels, function(which, i, j) y[j] = inputs[which].memory[i] end)
   return self.output
end

function Join:updateGradInput(inputs, gradOutput)
   for i, input in ipairs(inputs) do
      self.gradInput[i] = (self.gradInput[i] or torch.Tensor()):resize(input.sizes)
   end
   each_joined(inputs, channels_of(inputs), function(which, i, j)
      self.gradInput[which].memory[i] = gradOutput.memory[j]
   end)
   return self.gradInput
end

local View = class('View', Module)
function View:__init(...) self.sizes = {...} end
function View:updateOutput(input) return self.output:share(input, self.sizes) end
function View:updateGradInput(input, gradOutput)
   return self.gradInput:share(gradOutput, input.sizes)
end

local LogSoftMax = class('LogSoftMax', Module)
function LogSoftMax:updateOutput(input)
   local batch, classes = check(input, 2)
   local x, y = input.memory, self.output:resize(input.sizes).memory
   for n = 0, batch - 1 do
      local from, largest, sum = n * classes, -math.huge, 0
      for i = from, from + classes - 1 do largest = math.max(largest, x[i]) end
      for i = from, from + classes - 1 do sum = sum + math.exp(x[i] - largest) end
      for i = from, from + classes - 1 do y[i] = x[i] - largest - math.log(sum) end
   end
   return self.output
end

function LogSoftMax:updateGradInput(input, gradOutput)
   local batch, classes = check(input, 2)
   local y, dy = self.output.memory, gradOutput.memory
   local dx = self.gradInput:resize(input.sizes).memory
   for n = 0, batch - 1 do
      local from, sum = n * classes, 0
      for i = from, from + classes - 1 do sum = sum + dy[i] end
      for i = from, from + classes - 1 do dx[i] = dy[i] - math.exp(y[i]) * sum end
   end
   return self.gradInput
end

-- A criterion's output is a number, and the labels' total weight; labels count from 1.

local ClassNLL = class('ClassNLLCriterion')
function ClassNLL:__init() end

local function label_of(input, target, n)
   local label = tonumber(target.memory[n])
   assert(label >= 1 and label <= input:size(2), 'a label that is no class')
   return n * input:size(2) + label - 1
end

function ClassNLL:forward(input, target)
   assert(target.kind == 'LongTensor' and target:size(1) == input:size(1))
   self.output = 0
   for n = 0, input:size(1) - 1 do
      self.output = self.output - input.memory[label_of(input, target, n)] / input:size(1)
   end
   return self.output, input:size(1)
end

function ClassNLL:backward(input, target)
   self.gradInput:resize(input.sizes):zero()
   for n = 0, input:size(1) - 1 do
      self.gradInput.memory[label_of(input, target, n)] = -1 / input:size(1)
   end
   return self.gradInput
end

return nn
