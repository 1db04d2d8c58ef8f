-- A stand-in for Lua Torch: the part of its interface that adapters/torch7.lua uses, over FFI
-- arrays and in plain loops. It is slow, and meant to be right; nothing of Torch's is in it.

local ffi = require 'ffi'

torch = {}

local C_TYPES = {FloatTensor = 'float[?]', DoubleTensor = 'double[?]', LongTensor = 'int64_t[?]'}
local Tensor = {}
Tensor.__index = Tensor

local function count(sizes)
   local product = 1
   for _, size in ipairs(sizes) do product = product * size end
   return product
end

local function allocate(kind, sizes)
   local tensor = setmetatable({kind = kind}, Tensor)
   return tensor:resize(sizes)
end

for kind in pairs(C_TYPES) do
   torch[kind] = function(...)
      for _, size in ipairs({...}) do assert(type(size) == 'number', 'sizes are numbers') end
      return allocate(kind, select('#', ...) > 0 and {...} or {0})
   end
end

function torch.setdefaulttensortype(name)
   torch.Tensor = assert(torch[name:match('^torch%.(%a+)$')], 'no such type')
end
torch.setdefaulttensortype('torch.DoubleTensor')

local threads = 1
function torch.setnumthreads(number) threads = number end
function torch.getnumthreads() return threads end

function Tensor:resize(sizes)
   local wanted = count(sizes)
   if self.memory == nil or self:nElement() ~= wanted then
      self.memory = ffi.new(C_TYPES[self.kind], wanted)
   end
   self.sizes = {unpack(sizes)}
   return self
end

-- The other's memory, seen in these sizes: what Torch's `view` and `set` do.
function Tensor:share(other, sizes)
   assert(count(sizes) == other:nElement(), 'another number of elements')
   self.memory, self.sizes = other.memory, {unpack(sizes)}
   return self
end

function Tensor:data() return self.memory end
function Tensor:contiguous() return self end
function Tensor:nElement() return count(self.sizes) end
function Tensor:dim() return #self.sizes end
function Tensor:size(dimension) return self.sizes[dimension] end

function Tensor:fill(...)
   assert(select('#', ...) == 1 and type(...) == 'number', 'one number expected')
   local value = ...
   for i = 0, self:nElement() - 1 do self.memory[i] = value end
   return self
end

function Tensor:zero() return self:fill(0) end

function Tensor:copy(other)
   assert(self:nElement() == other:nElement(), 'another number of elements')
   ffi.copy(self.memory, other.memory, ffi.sizeof(self.memory))
   return self
end

function Tensor:clone() return allocate(self.kind, self.sizes):copy(self) end

function Tensor:mul(factor)
   for i = 0, self:nElement() - 1 do self.memory[i] = self.memory[i] * factor end
   return self
end

-- add(other), or add(factor, other).
function Tensor:add(factor, other)
   if other == nil then factor, other = 1, factor end
   assert(self:nElement() == other:nElement(), 'another number of elements')
   for i = 0, self:nElement() - 1 do
      self.memory[i] = self.memory[i] + factor * other.memory[i]
   end
   return self
end

return torch
