# Sourced on the GPU host by run.sh: unpacks Node with Dawn, and the Vulkan loader where the system has none. `here` is the folder of the bundle.
runtime=${TMPDIR:-/tmp}/pixnerd-gpu-runtime
if [ ! -x "$runtime/bin/node" ]; then
  mkdir -p "$runtime" && python3 -c "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])" "$here/runtime.txz" "$runtime"
fi
# a driver that was chosen brings its loader along
if [ -z "${VK_DRIVER_FILES:-}" ] && ! ldconfig -p | grep -q libvulkan.so.1; then
  for deb in "$here"/deb/*.deb; do dpkg -x "$deb" /; done
  ldconfig
fi
export PATH="$runtime/bin:$PATH" XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/tmp}
ln -sfn "$runtime/node_modules" "$here/node_modules" # the bundle imports webgpu by name
if [ -z "${VK_DRIVER_FILES:-}" ] && [ -f /usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json ]; then
  export VK_DRIVER_FILES=/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json
  export __EGL_VENDOR_LIBRARY_FILENAMES=/usr/local/nvidia/share/glvnd/egl_vendor.d/10_nvidia.json
fi
