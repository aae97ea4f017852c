// @generated from Kubernetes' protobuf definitions (field numbers and JSON names).
//! The sources of volumes.

use super::Kind::{Bool, Int, Message, Quantity, Text};
use super::{Fields, core, field, inline, list, map, meta, optional, pod};

pub(super) static AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE: Fields = Fields(&[
    field(1, "volumeID", Text),
    optional(2, "fsType", Text),
    optional(3, "partition", Int),
    optional(4, "readOnly", Bool),
]);

pub(super) static AZURE_DISK_VOLUME_SOURCE: Fields = Fields(&[
    field(1, "diskName", Text),
    field(2, "diskURI", Text),
    field(3, "cachingMode", Text),
    field(4, "fsType", Text),
    field(5, "readOnly", Bool),
    field(6, "kind", Text),
]);

pub(super) static AZURE_FILE_PERSISTENT_VOLUME_SOURCE: Fields = Fields(&[
    field(1, "secretName", Text),
    field(2, "shareName", Text),
    optional(3, "readOnly", Bool),
    field(4, "secretNamespace", Text),
]);

pub(super) static AZURE_FILE_VOLUME_SOURCE: Fields =
    Fields(&[field(1, "secretName", Text), field(2, "shareName", Text), optional(3, "readOnly", Bool)]);

pub(super) static CEPH_FS_PERSISTENT_VOLUME_SOURCE: Fields = Fields(&[
    list(1, "monitors", Text),
    optional(2, "path", Text),
    optional(3, "user", Text),
    optional(4, "secretFile", Text),
    field(5, "secretRef", Message(&core::SECRET_REFERENCE)),
    optional(6, "readOnly", Bool),
]);

pub(super) static CEPH_FS_VOLUME_SOURCE: Fields = Fields(&[
    list(1, "monitors", Text),
    optional(2, "path", Text),
    optional(3, "user", Text),
    optional(4, "secretFile", Text),
    field(5, "secretRef", Message(&pod::LOCAL_OBJECT_REFERENCE)),
    optional(6, "readOnly", Bool),
]);

pub(super) static CINDER_PERSISTENT_VOLUME_SOURCE: Fields = Fields(&[
    field(1, "volumeID", Text),
    optional(2, "fsType", Text),
    optional(3, "readOnly", Bool),
    field(4, "secretRef", Message(&core::SECRET_REFERENCE)),
]);

pub(super) static CINDER_VOLUME_SOURCE: Fields = Fields(&[
    field(1, "volumeID", Text),
    optional(2, "fsType", Text),
    optional(3, "readOnly", Bool),
    field(4, "secretRef", Message(&pod::LOCAL_OBJECT_REFERENCE)),
]);

pub(super) static CLUSTER_TRUST_BUNDLE_PROJECTION: Fields = Fields(&[
    field(1, "name", Text),
    field(2, "signerName", Text),
    field(3, "labelSelector", Message(&meta::LABEL_SELECTOR)),
    field(4, "path", Text),
    field(5, "optional", Bool),
]);

pub(super) static CONFIG_MAP_PROJECTION: Fields = Fields(&[
    inline(1, &pod::LOCAL_OBJECT_REFERENCE),
    list(2, "items", Message(&KEY_TO_PATH)),
    field(4, "optional", Bool),
]);

pub(super) static CONFIG_MAP_VOLUME_SOURCE: Fields = Fields(&[
    inline(1, &pod::LOCAL_OBJECT_REFERENCE),
    list(2, "items", Message(&KEY_TO_PATH)),
    field(3, "defaultMode", Int),
    field(4, "optional", Bool),
]);

pub(super) static CSI_PERSISTENT_VOLUME_SOURCE: Fields = Fields(&[
    field(1, "driver", Text),
    field(2, "volumeHandle", Text),
    optional(3, "readOnly", Bool),
    optional(4, "fsType", Text),
    map(5, "volumeAttributes", Text),
    field(6, "controllerPublishSecretRef", Message(&core::SECRET_REFERENCE)),
    field(7, "nodeStageSecretRef", Message(&core::SECRET_REFERENCE)),
    field(8, "nodePublishSecretRef", Message(&core::SECRET_REFERENCE)),
    field(9, "controllerExpandSecretRef", Message(&core::SECRET_REFERENCE)),
    field(10, "nodeExpandSecretRef", Message(&core::SECRET_REFERENCE)),
]);

pub(super) static CSI_VOLUME_SOURCE: Fields = Fields(&[
    field(1, "driver", Text),
    field(2, "readOnly", Bool),
    field(3, "fsType", Text),
    map(4, "volumeAttributes", Text),
    field(5, "nodePublishSecretRef", Message(&pod::LOCAL_OBJECT_REFERENCE)),
]);

pub(super) static DOWNWARD_API_PROJECTION: Fields =
    Fields(&[list(1, "items", Message(&DOWNWARD_API_VOLUME_FILE))]);

pub(super) static DOWNWARD_API_VOLUME_FILE: Fields = Fields(&[
    field(1, "path", Text),
    field(2, "fieldRef", Message(&OBJECT_FIELD_SELECTOR)),
    field(3, "resourceFieldRef", Message(&RESOURCE_FIELD_SELECTOR)),
    field(4, "mode", Int),
]);

pub(super) static DOWNWARD_API_VOLUME_SOURCE: Fields =
    Fields(&[list(1, "items", Message(&DOWNWARD_API_VOLUME_FILE)), field(2, "defaultMode", Int)]);

pub(super) static EMPTY_DIR_VOLUME_SOURCE: Fields =
    Fields(&[optional(1, "medium", Text), field(2, "sizeLimit", Quantity)]);

pub(super) static EPHEMERAL_VOLUME_SOURCE: Fields =
    Fields(&[field(1, "volumeClaimTemplate", Message(&pod::PERSISTENT_VOLUME_CLAIM_TEMPLATE))]);

pub(super) static FC_VOLUME_SOURCE: Fields = Fields(&[
    list(1, "targetWWNs", Text),
    field(2, "lun", Int),
    optional(3, "fsType", Text),
    optional(4, "readOnly", Bool),
    list(5, "wwids", Text),
]);

pub(super) static FLEX_PERSISTENT_VOLUME_SOURCE: Fields = Fields(&[
    field(1, "driver", Text),
    optional(2, "fsType", Text),
    field(3, "secretRef", Message(&core::SECRET_REFERENCE)),
    optional(4, "readOnly", Bool),
    map(5, "options", Text),
]);

pub(super) static FLEX_VOLUME_SOURCE: Fields = Fields(&[
    field(1, "driver", Text),
    optional(2, "fsType", Text),
    field(3, "secretRef", Message(&pod::LOCAL_OBJECT_REFERENCE)),
    optional(4, "readOnly", Bool),
    map(5, "options", Text),
]);

pub(super) static FLOCKER_VOLUME_SOURCE: Fields =
    Fields(&[optional(1, "datasetName", Text), optional(2, "datasetUUID", Text)]);

pub(super) static GCE_PERSISTENT_DISK_VOLUME_SOURCE: Fields = Fields(&[
    field(1, "pdName", Text),
    optional(2, "fsType", Text),
    optional(3, "partition", Int),
    optional(4, "readOnly", Bool),
]);

pub(super) static GIT_REPO_VOLUME_SOURCE: Fields =
    Fields(&[field(1, "repository", Text), optional(2, "revision", Text), optional(3, "directory", Text)]);

pub(super) static GLUSTERFS_PERSISTENT_VOLUME_SOURCE: Fields = Fields(&[
    field(1, "endpoints", Text),
    field(2, "path", Text),
    optional(3, "readOnly", Bool),
    field(4, "endpointsNamespace", Text),
]);

pub(super) static GLUSTERFS_VOLUME_SOURCE: Fields =
    Fields(&[field(1, "endpoints", Text), field(2, "path", Text), optional(3, "readOnly", Bool)]);

pub(super) static HOST_PATH_VOLUME_SOURCE: Fields = Fields(&[field(1, "path", Text), field(2, "type", Text)]);

pub(super) static IMAGE_VOLUME_SOURCE: Fields =
    Fields(&[optional(1, "reference", Text), optional(2, "pullPolicy", Text)]);

pub(super) static ISCSI_PERSISTENT_VOLUME_SOURCE: Fields = Fields(&[
    field(1, "targetPortal", Text),
    field(2, "iqn", Text),
    field(3, "lun", Int),
    optional(4, "iscsiInterface", Text),
    optional(5, "fsType", Text),
    optional(6, "readOnly", Bool),
    list(7, "portals", Text),
    optional(8, "chapAuthDiscovery", Bool),
    field(10, "secretRef", Message(&core::SECRET_REFERENCE)),
    optional(11, "chapAuthSession", Bool),
    field(12, "initiatorName", Text),
]);

pub(super) static ISCSI_VOLUME_SOURCE: Fields = Fields(&[
    field(1, "targetPortal", Text),
    field(2, "iqn", Text),
    field(3, "lun", Int),
    optional(4, "iscsiInterface", Text),
    optional(5, "fsType", Text),
    optional(6, "readOnly", Bool),
    list(7, "portals", Text),
    optional(8, "chapAuthDiscovery", Bool),
    field(10, "secretRef", Message(&pod::LOCAL_OBJECT_REFERENCE)),
    optional(11, "chapAuthSession", Bool),
    field(12, "initiatorName", Text),
]);

pub(super) static KEY_TO_PATH: Fields =
    Fields(&[field(1, "key", Text), field(2, "path", Text), field(3, "mode", Int)]);

pub(super) static LOCAL_VOLUME_SOURCE: Fields = Fields(&[field(1, "path", Text), field(2, "fsType", Text)]);

pub(super) static NFS_VOLUME_SOURCE: Fields =
    Fields(&[field(1, "server", Text), field(2, "path", Text), optional(3, "readOnly", Bool)]);

pub(super) static OBJECT_FIELD_SELECTOR: Fields =
    Fields(&[optional(1, "apiVersion", Text), field(2, "fieldPath", Text)]);

pub(super) static PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE: Fields =
    Fields(&[field(1, "claimName", Text), optional(2, "readOnly", Bool)]);

pub(super) static PERSISTENT_VOLUME_SOURCE: Fields = Fields(&[
    field(1, "gcePersistentDisk", Message(&GCE_PERSISTENT_DISK_VOLUME_SOURCE)),
    field(2, "awsElasticBlockStore", Message(&AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE)),
    field(3, "hostPath", Message(&HOST_PATH_VOLUME_SOURCE)),
    field(4, "glusterfs", Message(&GLUSTERFS_PERSISTENT_VOLUME_SOURCE)),
    field(5, "nfs", Message(&NFS_VOLUME_SOURCE)),
    field(6, "rbd", Message(&RBD_PERSISTENT_VOLUME_SOURCE)),
    field(7, "iscsi", Message(&ISCSI_PERSISTENT_VOLUME_SOURCE)),
    field(8, "cinder", Message(&CINDER_PERSISTENT_VOLUME_SOURCE)),
    field(9, "cephfs", Message(&CEPH_FS_PERSISTENT_VOLUME_SOURCE)),
    field(10, "fc", Message(&FC_VOLUME_SOURCE)),
    field(11, "flocker", Message(&FLOCKER_VOLUME_SOURCE)),
    field(12, "flexVolume", Message(&FLEX_PERSISTENT_VOLUME_SOURCE)),
    field(13, "azureFile", Message(&AZURE_FILE_PERSISTENT_VOLUME_SOURCE)),
    field(14, "vsphereVolume", Message(&VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE)),
    field(15, "quobyte", Message(&QUOBYTE_VOLUME_SOURCE)),
    field(16, "azureDisk", Message(&AZURE_DISK_VOLUME_SOURCE)),
    field(17, "photonPersistentDisk", Message(&PHOTON_PERSISTENT_DISK_VOLUME_SOURCE)),
    field(18, "portworxVolume", Message(&PORTWORX_VOLUME_SOURCE)),
    field(19, "scaleIO", Message(&SCALE_IO_PERSISTENT_VOLUME_SOURCE)),
    field(20, "local", Message(&LOCAL_VOLUME_SOURCE)),
    field(21, "storageos", Message(&STORAGE_OS_PERSISTENT_VOLUME_SOURCE)),
    field(22, "csi", Message(&CSI_PERSISTENT_VOLUME_SOURCE)),
]);

pub(super) static PHOTON_PERSISTENT_DISK_VOLUME_SOURCE: Fields =
    Fields(&[field(1, "pdID", Text), optional(2, "fsType", Text)]);

pub(super) static POD_CERTIFICATE_PROJECTION: Fields = Fields(&[
    field(1, "signerName", Text),
    field(2, "keyType", Text),
    field(3, "maxExpirationSeconds", Int),
    optional(4, "credentialBundlePath", Text),
    optional(5, "keyPath", Text),
    optional(6, "certificateChainPath", Text),
    map(7, "userAnnotations", Text),
]);

pub(super) static PORTWORX_VOLUME_SOURCE: Fields =
    Fields(&[field(1, "volumeID", Text), optional(2, "fsType", Text), optional(3, "readOnly", Bool)]);

pub(super) static PROJECTED_VOLUME_SOURCE: Fields =
    Fields(&[list(1, "sources", Message(&VOLUME_PROJECTION)), field(2, "defaultMode", Int)]);

pub(super) static QUOBYTE_VOLUME_SOURCE: Fields = Fields(&[
    field(1, "registry", Text),
    field(2, "volume", Text),
    optional(3, "readOnly", Bool),
    optional(4, "user", Text),
    optional(5, "group", Text),
    optional(6, "tenant", Text),
]);

pub(super) static RBD_PERSISTENT_VOLUME_SOURCE: Fields = Fields(&[
    list(1, "monitors", Text),
    field(2, "image", Text),
    optional(3, "fsType", Text),
    optional(4, "pool", Text),
    optional(5, "user", Text),
    optional(6, "keyring", Text),
    field(7, "secretRef", Message(&core::SECRET_REFERENCE)),
    optional(8, "readOnly", Bool),
]);

pub(super) static RBD_VOLUME_SOURCE: Fields = Fields(&[
    list(1, "monitors", Text),
    field(2, "image", Text),
    optional(3, "fsType", Text),
    optional(4, "pool", Text),
    optional(5, "user", Text),
    optional(6, "keyring", Text),
    field(7, "secretRef", Message(&pod::LOCAL_OBJECT_REFERENCE)),
    optional(8, "readOnly", Bool),
]);

pub(super) static RESOURCE_FIELD_SELECTOR: Fields =
    Fields(&[optional(1, "containerName", Text), field(2, "resource", Text), field(3, "divisor", Quantity)]);

pub(super) static SCALE_IO_PERSISTENT_VOLUME_SOURCE: Fields = Fields(&[
    field(1, "gateway", Text),
    field(2, "system", Text),
    field(3, "secretRef", Message(&core::SECRET_REFERENCE)),
    optional(4, "sslEnabled", Bool),
    optional(5, "protectionDomain", Text),
    optional(6, "storagePool", Text),
    optional(7, "storageMode", Text),
    optional(8, "volumeName", Text),
    optional(9, "fsType", Text),
    optional(10, "readOnly", Bool),
]);

pub(super) static SCALE_IO_VOLUME_SOURCE: Fields = Fields(&[
    field(1, "gateway", Text),
    field(2, "system", Text),
    field(3, "secretRef", Message(&pod::LOCAL_OBJECT_REFERENCE)),
    optional(4, "sslEnabled", Bool),
    optional(5, "protectionDomain", Text),
    optional(6, "storagePool", Text),
    optional(7, "storageMode", Text),
    optional(8, "volumeName", Text),
    optional(9, "fsType", Text),
    optional(10, "readOnly", Bool),
]);

pub(super) static SECRET_PROJECTION: Fields = Fields(&[
    inline(1, &pod::LOCAL_OBJECT_REFERENCE),
    list(2, "items", Message(&KEY_TO_PATH)),
    field(4, "optional", Bool),
]);

pub(super) static SECRET_VOLUME_SOURCE: Fields = Fields(&[
    optional(1, "secretName", Text),
    list(2, "items", Message(&KEY_TO_PATH)),
    field(3, "defaultMode", Int),
    field(4, "optional", Bool),
]);

pub(super) static SERVICE_ACCOUNT_TOKEN_PROJECTION: Fields =
    Fields(&[optional(1, "audience", Text), field(2, "expirationSeconds", Int), field(3, "path", Text)]);

pub(super) static STORAGE_OS_PERSISTENT_VOLUME_SOURCE: Fields = Fields(&[
    optional(1, "volumeName", Text),
    optional(2, "volumeNamespace", Text),
    optional(3, "fsType", Text),
    optional(4, "readOnly", Bool),
    field(5, "secretRef", Message(&core::OBJECT_REFERENCE)),
]);

pub(super) static STORAGE_OS_VOLUME_SOURCE: Fields = Fields(&[
    optional(1, "volumeName", Text),
    optional(2, "volumeNamespace", Text),
    optional(3, "fsType", Text),
    optional(4, "readOnly", Bool),
    field(5, "secretRef", Message(&pod::LOCAL_OBJECT_REFERENCE)),
]);

pub(super) static VOLUME_PROJECTION: Fields = Fields(&[
    field(1, "secret", Message(&SECRET_PROJECTION)),
    field(2, "downwardAPI", Message(&DOWNWARD_API_PROJECTION)),
    field(3, "configMap", Message(&CONFIG_MAP_PROJECTION)),
    field(4, "serviceAccountToken", Message(&SERVICE_ACCOUNT_TOKEN_PROJECTION)),
    field(5, "clusterTrustBundle", Message(&CLUSTER_TRUST_BUNDLE_PROJECTION)),
    field(6, "podCertificate", Message(&POD_CERTIFICATE_PROJECTION)),
]);

pub(super) static VOLUME_SOURCE: Fields = Fields(&[
    field(1, "hostPath", Message(&HOST_PATH_VOLUME_SOURCE)),
    field(2, "emptyDir", Message(&EMPTY_DIR_VOLUME_SOURCE)),
    field(3, "gcePersistentDisk", Message(&GCE_PERSISTENT_DISK_VOLUME_SOURCE)),
    field(4, "awsElasticBlockStore", Message(&AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE)),
    field(5, "gitRepo", Message(&GIT_REPO_VOLUME_SOURCE)),
    field(6, "secret", Message(&SECRET_VOLUME_SOURCE)),
    field(7, "nfs", Message(&NFS_VOLUME_SOURCE)),
    field(8, "iscsi", Message(&ISCSI_VOLUME_SOURCE)),
    field(9, "glusterfs", Message(&GLUSTERFS_VOLUME_SOURCE)),
    field(10, "persistentVolumeClaim", Message(&PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE)),
    field(11, "rbd", Message(&RBD_VOLUME_SOURCE)),
    field(12, "flexVolume", Message(&FLEX_VOLUME_SOURCE)),
    field(13, "cinder", Message(&CINDER_VOLUME_SOURCE)),
    field(14, "cephfs", Message(&CEPH_FS_VOLUME_SOURCE)),
    field(15, "flocker", Message(&FLOCKER_VOLUME_SOURCE)),
    field(16, "downwardAPI", Message(&DOWNWARD_API_VOLUME_SOURCE)),
    field(17, "fc", Message(&FC_VOLUME_SOURCE)),
    field(18, "azureFile", Message(&AZURE_FILE_VOLUME_SOURCE)),
    field(19, "configMap", Message(&CONFIG_MAP_VOLUME_SOURCE)),
    field(20, "vsphereVolume", Message(&VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE)),
    field(21, "quobyte", Message(&QUOBYTE_VOLUME_SOURCE)),
    field(22, "azureDisk", Message(&AZURE_DISK_VOLUME_SOURCE)),
    field(23, "photonPersistentDisk", Message(&PHOTON_PERSISTENT_DISK_VOLUME_SOURCE)),
    field(24, "portworxVolume", Message(&PORTWORX_VOLUME_SOURCE)),
    field(25, "scaleIO", Message(&SCALE_IO_VOLUME_SOURCE)),
    field(26, "projected", Message(&PROJECTED_VOLUME_SOURCE)),
    field(27, "storageos", Message(&STORAGE_OS_VOLUME_SOURCE)),
    field(28, "csi", Message(&CSI_VOLUME_SOURCE)),
    field(29, "ephemeral", Message(&EPHEMERAL_VOLUME_SOURCE)),
    field(30, "image", Message(&IMAGE_VOLUME_SOURCE)),
]);

pub(super) static VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE: Fields = Fields(&[
    field(1, "volumePath", Text),
    optional(2, "fsType", Text),
    optional(3, "storagePolicyName", Text),
    optional(4, "storagePolicyID", Text),
]);
