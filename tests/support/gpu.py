"""A GPU's driver, made up; and what gpu-check is asked."""

from typing import Any

from harness import gpu_check


class FakeDriver:
    """pynvml of a GPU that is hot, limited, shared, and slowed by its own heat."""

    def __init__(self, **answers: Any):
        self.answers = answers

    def __getattr__(self, name: str) -> Any:
        known = {
            "nvmlInit": None,
            "nvmlDeviceGetCount": 1,
            "nvmlDeviceGetHandleByIndex": "gpu",
            "nvmlDeviceGetName": "Fake GPU",
            "nvmlDeviceGetComputeRunningProcesses": [],
            "nvmlDeviceGetPowerManagementLimit": 300_000,
            "nvmlDeviceGetPowerManagementDefaultLimit": 300_000,
            "nvmlDeviceGetTemperature": 40,
            "nvmlDeviceGetComputeMode": 0,
            "nvmlDeviceGetCurrentClocksEventReasons": 0x4,  # a power cap by software: no cause
        } | self.answers
        if name not in known:
            raise AttributeError(name)
        return lambda *_: known[name]


def question(**changed: Any) -> gpu_check.Asked:
    usual = {"device": "cpu", "contenders": ["torch"], "named": False}
    usual |= {"suite": "quick", "workloads": gpu_check.FEW, "budget": 480.0}
    return gpu_check.Asked(**{**usual, **changed})
