"""Error texts as they are met, with words of the cause that is to be found: at least one for each entry of the shipped tables."""

KNOWN = (
    # The documents.
    ("ImportError: No module named 'torch'", "PyTorch is not in the image"),
    (
        "ImportError: tokenizers>=0.23.1,<0.24.0 is required for a normal functioning of this module, but found tokenizers==0.22.2.",
        "wants tokenizers>=0.23.1,<0.24.0, and tokenizers 0.22.2 is in the image",
    ),
    (
        "ImportError: huggingface-hub>=0.34.0,<1.0 is required for a normal functioning of this module, but found huggingface-hub==1.2.3.",
        "wants huggingface-hub>=0.34.0,<1.0",
    ),
    ("Version mismatch: tokenizers", "outside the range that transformers allows"),
    ("ImportError: accelerate is required for device_map", "device_map needs accelerate"),
    ("ImportError: Using `aqlm` quantization requires Accelerate: `pip install accelerate`", "accelerate is not in the image"),
    ("ImportError: accelerate required", "accelerate is not in the image"),
    ("ImportError: Loading an AWQ quantized model requires accelerate (`pip install accelerate`)", "accelerate is not in the image"),
    (
        "ImportError: Using `bitsandbytes` 4-bit quantization requires accelerate: `pip install 'accelerate>=1.1.0'`",
        "accelerate is not in the image",
    ),
    ("OSError: meta-llama/Llama-3.1-8B is a gated model", "the model's owner wants to know"),
    ("OSError: org/name is a gated repository. Make sure to request access at https://huggingface.co/org/name", "the model's owner"),
    (
        "huggingface_hub.errors.GatedRepoError: 401 Client Error. (Request ID: Root=1-6)\n\nCannot access gated repo for url https://x.",
        "owner",
    ),
    (
        (
            "ValueError: Couldn't instantiate the backend tokenizer from one of: \n(1) a `tokenizers` library serialization file, \n"
            "(2) a slow tokenizer instance to convert or \n(3) an equivalent slow tokenizer class to instantiate and convert. \n"
            "You need to have sentencepiece or tiktoken installed to convert a slow tokenizer to a fast one."
        ),
        "slow tokenizer only",
    ),
    ("OSError: Can't load tokenizer for 'x'. If you were trying to load it from 'https://huggingface.co/models'", "tokenizer's files"),
    ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7 GiB", "GPU's memory"),
    ("RuntimeError: CUDA error: out of memory", "GPU's memory"),
    ("RuntimeError: Expected all tensors to be on the same device, but found at least two devices, cpu and cuda:0!", "different devices"),
    ("ValueError: Unknown quantization type, got foo - supported types are: ['awq']", "does not know the quantization method"),
    # GPUs.
    ("ImportError: /x/site-packages/torch/lib/libtorch_cuda.so: undefined symbol: ncclCommRegister", "two NCCLs"),
    ("OSError: libnvJitLink.so.13: cannot open shared object file: No such file or directory", "libnvJitLink"),
    ("ImportError: /x/libcusparse.so.12: undefined symbol: __nvJitLinkComplete_12_4, version libnvJitLink.so.12", "libnvJitLink"),
    ("Could not load library libcudnn_ops_infer.so.8. Error: libcudnn_ops_infer.so.8: cannot open shared object file", "built for cuDNN 8"),
    ("Unable to load any of {libcudnn_cnn.so.9.1.0, libcudnn_cnn.so.9.1, libcudnn_cnn.so.9, libcudnn_cnn.so}", "cuDNN 9 is not where"),
    (
        "/x/cuda.py:124: UserWarning: CUDA initialization: The NVIDIA driver on your system is too old (found version 12040).",
        "is older than the CUDA that torch",
    ),
    (
        "RuntimeError: cudaGetDeviceCount() failed: CUDA driver version is insufficient for CUDA runtime version",
        "older than the CUDA that is asked",
    ),
    ("RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU", "torch sees no NVIDIA driver"),
    ("AssertionError: Torch not compiled with CUDA enabled", "is a CPU build"),
    (
        "RuntimeError: Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. If you are running",
        "saved from a GPU",
    ),
    ("RuntimeError: CUDA error: no kernel image is available for execution on the device", "another package with kernels"),
    (
        "UserWarning: \nNVIDIA GeForce RTX 5090 with CUDA capability sm_120 is not compatible with the current PyTorch installation.",
        "this torch was not built for",
    ),
    ("RuntimeError: CUDA error: device-side assert triggered", "a kernel met a value"),
    ("RuntimeError: Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing", "was forked"),
    (
        "/server: error while loading shared libraries: libcuda.so.1: cannot open shared object file: No such file or directory",
        "library of the NVIDIA driver",
    ),
    (
        "nvidia-container-cli: initialization error: load library failed: libnvidia-ml.so.1: cannot open shared object file",
        "library of the NVIDIA driver",
    ),
    ("ImportError: libcudart.so.12: cannot open shared object file: No such file or directory", "a library of CUDA is missing"),
    ("Failed to initialize NVML: Insufficient Permissions", "may not open the GPU's device files"),
    ("Failed to initialize NVML: Driver/library version mismatch", "old kernel module"),
    ("Failed to initialize NVML: Unknown Error", "lost its GPUs"),
    ('docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].', "knows no NVIDIA GPUs"),
    ('Error response from daemon: could not select device driver "nvidia" with capabilities: [[gpu]]', "knows no NVIDIA GPUs"),
    ("RuntimeError: No CUDA GPUs are available", "no GPU is visible"),
    ("RuntimeError: CUDA error: invalid device ordinal", "a number past the last"),
    ("Could not find the bitsandbytes CUDA binary at PosixPath('/x/libbitsandbytes_cuda121.so')", "this bitsandbytes has no library"),
    ("torch.distributed.DistBackendError: NCCL error in: ../torch/csrc/NCCLUtils.hpp:269, unhandled system error", "NCCL, which carries"),
    ("[rank0]:[E ProcessGroupNCCL.cpp:616] [Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=5)", "one rank waited"),
    ("RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", "cuBLAS"),
    # The hub and the network.
    (
        "OSError: nobody/nothing is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'",
        "shows no such model",
    ),
    (
        "requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: https://huggingface.co/api/whoami-v2",
        "does not accept the token",
    ),
    ("huggingface_hub.errors.HfHubHTTPError: 403 Forbidden: Please enable access to public gated repositories.", "lacks a permission"),
    ("429 Client Error: Too Many Requests for url: https://huggingface.co/x", "limits how much"),
    (
        "huggingface_hub.errors.OfflineModeIsEnabled: Cannot reach https://huggingface.co/x: offline mode is enabled. To disable it",
        "offline mode is on",
    ),
    (
        "OSError: We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in the cached files.",
        "hub could not be reached",
    ),
    (
        (
            "requests.exceptions.SSLError: HTTPSConnectionPool(host='huggingface.co', port=443): Max retries exceeded (Caused by "
            "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate')))"
        ),
        "an authority that is not known here",
    ),
    ("httpx.ConnectError: [Errno -3] Temporary failure in name resolution", "name could not be resolved"),
    (
        "MaxRetryError: Unable to connect to proxy', OSError('Tunnel connection failed: 407 Proxy Authentication Required'))",
        "the proxy does not answer",
    ),
    (
        "requests.exceptions.ReadTimeout: HTTPSConnectionPool(host='x', port=443): Read timed out. (read timeout=10)",
        "did not answer in time",
    ),
    ("safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge", ".safetensors file is not whole"),
    (
        "OSError: org/name does not appear to have a file named config.json. Checkout 'https://huggingface.co/org/name/tree/main'",
        "lacks a file",
    ),
    ("OSError: v9 is not a valid git identifier (branch name, tag name or commit id) that exists for this model name.", "no such branch"),
    (
        "ValueError: The checkpoint you are trying to load has model type `qwen9` but Transformers does not recognize this architecture.",
        "older than the architecture qwen9",
    ),
    (
        "ValueError: The repository org/name contains custom code which must be executed to correctly load the model.",
        "Python code of its own",
    ),
    (
        "ImportError: This modeling file requires the following packages that were not found in your environment: einops, timm. Run",
        "not in the image: einops, timm",
    ),
    (
        "OSError: PermissionError at /hf/x.lock when downloading org/name. Check cache directory permissions.",
        "cache of models can't be written",
    ),
    (
        "ImportError: cannot import name 'cached_download' from 'huggingface_hub' (/x/huggingface_hub/__init__.py)",
        "cached_download was removed",
    ),
    # torch and transformers.
    ("RuntimeError: operator torchvision::nms does not exist", "torch and torchvision are not a pair"),
    ("OSError: /x/torchaudio/lib/libtorchaudio.so: undefined symbol: _ZN3c104cuda9SetDeviceEi", "torchaudio or torchcodec"),
    (
        "ImportError: /x/flash_attn_2_cuda.cpython-310-x86_64-linux-gnu.so: undefined symbol: _ZN3c104cuda9SetDeviceEi",
        "this flash-attn was built",
    ),
    ("ImportError: /x/exllama_kernels.so: undefined symbol: _ZN2at4_ops5zeros4callEN3c108ArrayRef", "built for another torch"),
    ("ModuleNotFoundError: No module named 'flash_attn'", "asks for flash-attn"),
    ("RuntimeError: FlashAttention only supports Ampere GPUs or newer.", "does not run on this GPU"),
    ("ModuleNotFoundError: No module named 'torch._six'", "a package wants torch._six"),
    ("ModuleNotFoundError: No module named 'accelerate.utils.memory'", "accelerate is there, in another version"),
    (
        "ImportError: cannot import name 'is_torch_fx_available' from 'transformers.utils.import_utils' (/x)",
        "transformers is there, in another",
    ),
    ("Disabling PyTorch because PyTorch >= 2.4 is required but found 2.2.2", "wants torch 2.4 or newer"),
    (
        "ImportError: \nAutoModel requires the PyTorch library but it was not found in your environment. Check out",
        "transformers sees no torch",
    ),
    ("ImportError: LlamaTokenizer requires the SentencePiece library but it was not found in your environment.", "needs sentencepiece"),
    ("ImportError: \nT5Converter requires the protobuf library but it was not found in your environment. Check", "read with protobuf"),
    (
        "ValueError: `tiktoken` is required to read a `tiktoken` file. Install it with `pip install tiktoken`.",
        "tiktoken is not in the image",
    ),
    ("ModuleNotFoundError: No module named 'cv2'", "OpenCV is not in the image"),
    ("ImportError: \nFuyuImageProcessor requires the PIL library but it was not found in your environment.", "PIL is not in the image"),
    ("ImportError: Loading a GPTQ quantized model requires gptqmodel (`pip install gptqmodel`) library.", "a method that needs gptqmodel"),
    (
        "TypeError: Qwen2ForCausalLM.__init__() got an unexpected keyword argument 'load_in_4bit'",
        "no arguments of from_pretrained any more",
    ),
    (
        "ValueError: You can't pass `load_in_4bit`or `load_in_8bit` as a kwarg when passing `quantization_config` argument",
        "given twice",
    ),
    ("ValueError: Some modules are dispatched on the CPU or the disk. Make sure you have enough GPU RAM", "quantized model does not fit"),
    ("NotImplementedError: Cannot copy out of meta tensor; no data! Please use torch.nn.Module.to_empty()", "has no weights yet"),
    ("_pickle.UnpicklingError: Weights only load failed. This file can still be loaded", "holds more than weights"),
    (
        "ValueError: Due to a serious vulnerability issue in `torch.load`, even with `weights_only=True`, we now require",
        "a torch before 2.6",
    ),
    ("RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory", "a checkpoint is not whole"),
    (
        "InductorError: RuntimeError: Failed to find C compiler. Please specify via CC environment variable or set triton.knobs",
        "a slim image has no C compiler",
    ),
    (
        "torch._inductor.exc.InvalidCxxCompiler: No working C++ compiler found in torch._inductor.config.cpp.cxx: (None, 'g++')",
        "C++ compiler",
    ),
    ("A module that was compiled using NumPy 1.x cannot be run in NumPy 2.0.2 as it may crash.", "compiled for NumPy 1"),
    (
        "ValueError: numpy.dtype size changed, may indicate binary incompatibility. Expected 96 from C header, got 88 from PyObject",
        "compiled for another NumPy",
    ),
    ("AttributeError: module 'numpy' has no attribute 'float'.", "uses np.float, which NumPy removed"),
    ("TypeError: Descriptors cannot not be created directly.", "an old protoc"),
    ("RuntimeError: DataLoader worker (pid 37) is killed by signal: Bus error. It is possible that", "/dev/shm is too small"),
    (
        "RuntimeError: [enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory",
        "memory, not the GPU's, is full",
    ),
    ("RuntimeError: received 0 items of ancdata", "too many files open"),
    ("RuntimeError: \"addmm_impl_cpu_\" not implemented for 'Half'", "is in float16"),
    ("ValueError: Cannot use chat template functions because tokenizer.chat_template is not set and no template", "no chat template"),
    ("ImportError: apply_chat_template requires jinja2 to be installed.", "chat templates need jinja2"),
    ("ImportError: Using the `Trainer` with `PyTorch` requires `accelerate>=1.1.0`: Please run", "the Trainer needs accelerate"),
    # Engines.
    ("permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock", "may not talk to it"),
    ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", "no container engine answers"),
    ("ERROR: docker exporter does not currently support exporting manifest lists", "for several platforms"),
    ('ERROR: failed to solve: exporter option "rewrite-timestamp" conflicts with "unpack"', "this BuildKit can't rewrite times"),
    ("exec /usr/local/bin/python: exec format error", "for another processor"),
    ("ERROR: no match for platform in manifest: not found", "for this machine's platform"),
    ("ERROR: pull access denied for x/y, repository does not exist or may require 'docker login'", "does not know you"),
    ("Error response from daemon: manifest for python:9 not found: manifest unknown: manifest unknown", "no image of that tag"),
    ("unknown flag: --load", "has no buildx"),
    ("OSError: [Errno 28] No space left on device: '/x'", "a disk is full"),
    ("failed to register layer: write /x: no space left on device", "a disk is full"),
    ('ERROR: failed to solve: process "/bin/sh -c make" did not complete successfully: exit code: 137', "a process was killed"),
    ("Bind for 0.0.0.0:8000 failed: port is already allocated", "has that port"),
    # pip, uv and compilers.
    (
        "ERROR: Could not find a version that satisfies the requirement nvidia-nccl-cu12==2.21.5 (from versions: 0.0.1.dev5)",
        "wheels for Linux only",
    ),
    (
        "ERROR: Could not find a version that satisfies the requirement torch==2.1.0+cu118 (from versions: 2.2.0, 2.3.0)",
        "the index has no torch",
    ),
    (
        "ERROR: Invalid requirement: 'torch~=2.4.0+cu124': Local version label can only be used with `==` or `!=` operators",
        "a label as +cu118",
    ),
    ("error: can't find Rust compiler", "in Rust"),
    ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated", "not the one whose hash"),
    ("ERROR: In --require-hashes mode, all requirements must have their versions pinned with ==. These do not:", "all of them need one"),
    ("error: externally-managed-environment\n\n× This environment is externally managed", "belongs to the operating system"),
    ("error: command 'gcc' failed: No such file or directory", "no C compiler to build it"),
    ("x.c:1:10: fatal error: Python.h: No such file or directory", "Python's headers"),
    ("OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root.", "compiles kernels of its own"),
    ("ModuleNotFoundError: No module named 'pkg_resources'", "a part of Python or setuptools that is gone"),
    ("The package `deepspeed` depends on `torch`, but doesn't declare it as a build dependency", "imports torch while it is built"),
    ("ERROR: ResolutionImpossible: for help visit https://pip.pypa.io", "exclude each other"),
    ("ERROR: torch-2.1.0-cp310-cp310-linux_x86_64.whl is not a supported wheel on this platform.", "the wheel is for another Python"),
    ("ERROR: Package 'x' requires a different Python: 3.9.1 not in '>=3.10'", "does not support this Python"),
    # The system.
    ("KeyError: 'getpwuid(): uid not found: 1002700000'", "has no line in its /etc/passwd"),
    ("python: error while loading shared libraries: libpython3.11.so.1.0: cannot open shared object file", "wants libpython3.11.so.1.0"),
    ("ImportError: libGL.so.1: cannot open shared object file: No such file or directory", "opencv-python wants libGL.so.1"),
    ("OSError: libgomp.so.1: cannot open shared object file: No such file or directory", "libgomp.so.1 is a library of the operating"),
    ("ImportError: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by /x/y.so)", "wants GLIBC_2.38"),
    ("ImportError: Error loading shared library ld-linux-x86-64.so.2: No such file or directory (needed by /x)", "musl"),
    ("OSError: [Errno 30] Read-only file system: '/models/models--x--y/snapshots/4659a7d'", "where nothing can be written"),
    ("PermissionError: [Errno 13] Permission denied: '/.cache/huggingface/hub'", "/.cache/huggingface/hub belongs to another user"),
    ("UnicodeDecodeError: 'ascii' codec can't decode byte 0xe2 in position 100: ordinal not in range(128)", "as ASCII"),
    ("OSError: [Errno 24] Too many open files: '/x'", "more files open"),
    ("RuntimeError: can't start new thread", "no more threads"),
    ("OMP: Error #15: Initializing libiomp5.so, but found libgomp.so.1 already initialized.", "two OpenMP libraries"),
    (
        'OSError: [WinError 126] The module could not be found. Error loading "C:\\x\\torch\\lib\\c10.dll" or one of its dependencies.',
        "Visual C++",
    ),
)

UNKNOWN = (
    "",
    "AssertionError: 3 != 4",
    "ModuleNotFoundError: No module named 'torchaudio'",
    "ModuleNotFoundError: No module named 'torch_geometric'",
    "ModuleNotFoundError: No module named 'torch.foo'",
    "ModuleNotFoundError: No module named 'flash_attn_hopper'",
    "OutOfMemoryError: Java heap space",
    "See what a gated model is. ValueError: shape mismatch",
    "RuntimeError: we saw CUDA out of memory yesterday",
    "ValueError: see the page on Torch not compiled with CUDA enabled",
    "INFO: bitsandbytes requires accelerate as an optional dependency",
    "ImportError: cannot import name 'x' from 'y'",
    "OSError: libfoo.so.1: cannot open shared object file: No such file or directory",
    "ImportError: /x/y.so: undefined symbol: foo_bar",
    "OSError: [Errno 2] No such file or directory: 'x'",
    "PermissionError: [Errno 13] Permission denied: '/srv/data.csv'",
    "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    "TypeError: f() got an unexpected keyword argument 'load_in_4bits'",
    "ERROR: Could not find a version that satisfies the requirement our-tool==9 (from versions: 1.0)",
    "ERROR: No matching distribution found for our-tool==9",
    'ERROR: failed to solve: process "/bin/sh -c make" did not complete successfully: exit code: 1',
    "subprocess.CalledProcessError: Command '['x']' returned non-zero exit status 1.",
    "Segmentation fault (core dumped)",
    "Killed",
    "RuntimeError: operator torchvision_nms does not exist",
    "AttributeError: module 'numpy' has no attribute 'floats'",
    "UserWarning: numpy is old",
    "torch and accelerate and a gated model and a driver that is too old",
)

HOSTILE = {
    "one line": "a" * 100_000_000,
    "lines": ("requires : the " * 20 + "\n") * 300_000,
    "colons": (": " * 60 + "\n") * 20_000,
    "slashes": ("/lib" * 60 + "\n") * 20_000,
    "commands": ("Command '" * 300 + "\n") * 5_000,
    "escapes": "\x1b[" * 1_000_000,
    "titles": "\x1b]" * 1_000_000,
    "quotes": "> " * 1_000_000,
    "nested JSON": '{"a":' * 100_000 + "}" * 100_000,
    "prefixes": ("#1 1.23 " * 500 + "\n") * 2_000,
    "exceptions": ("a.b.c." * 20 + "Error: \n") * 20_000,
    "tracebacks": "Traceback (most recent call last):\\n" * 100_000,
}
"""Texts without an error that is known, each made to be slow to read."""
