"""All that knows vLLM, torch, transformers and the GPU; of Hearth it imports `runtime.contract` and `runtime.dialects`."""
