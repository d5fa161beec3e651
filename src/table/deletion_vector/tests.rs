use object_store::memory::InMemory;

use super::*;

fn url() -> Url {
    Url::parse("memory:///lake/t").unwrap()
}

fn inline(text: &str, size: i32, cardinality: i64) -> DeletionVectorDescriptor {
    DeletionVectorDescriptor {
        storage_type: StorageType::Inline,
        path_or_inline_dv: text.to_owned(),
        offset: None,
        size_in_bytes: size,
        cardinality,
    }
}

async fn read(
    store: &Arc<dyn ObjectStore>,
    descriptor: DeletionVectorDescriptor,
) -> Result<DeletionVector, TableError> {
    DeletionVector::read(&url(), store, &Path::from("lake/t"), descriptor).await
}

#[tokio::test]
async fn the_example_of_the_protocol() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let text = "^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L";
    let found = read(&store, inline(text, 44, 6)).await.unwrap();
    assert_eq!(found.iter().collect::<Vec<_>>(), [3, 4, 7, 11, 18, 29]);
    assert_eq!(found.ranges(), [3..5, 7..8, 11..12, 18..19, 29..30]);
    let again = found.write(&url(), &store, &Path::from("lake/t")).await;
    assert_eq!(again.unwrap(), inline(text, 44, 6));
    for (text, size, rows, wrong) in [
        (text, 44, 7, "the log says that it has 7"),
        (text, 48, 6, "the log says that it has 48"),
        (&text[5..], 40, 6, "was expected"),
        ("short", 3, 1, "was expected"),
        ("sh", 3, 1, "no base85"),
    ] {
        let error = read(&store, inline(text, size, rows)).await.unwrap_err();
        assert!(error.to_string().contains(wrong), "{error}");
    }
}

#[test]
fn sets_of_rows() {
    let few = DeletionVector::from_iter([5, 1]);
    let more = DeletionVector::from_iter([5, 6, 1 << 40]);
    assert_eq!(
        few.union(&more),
        DeletionVector::from_iter([1, 5, 6, 1 << 40])
    );
    assert_eq!(more.minus(&few), DeletionVector::from_iter([6, 1 << 40]));
    assert!(few.minus(&few).is_empty() && few.covers(&few) && !few.covers(&more));
    assert_eq!((more.len(), more.last()), (3, Some(1 << 40)));
}

#[tokio::test]
async fn what_is_written_is_read_again() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let folder = Path::from("lake/t");
    let far = u64::from(u32::MAX) + 5;
    let scattered = (0..200_000).map(|n| n * 7 % 1_400_009);
    for (rows, kept) in [
        (DeletionVector::default(), StorageType::Inline),
        (
            DeletionVector::from_iter([0, far, 2 * far]),
            StorageType::Inline,
        ),
        // a stretch takes a few bytes, however long
        ((5..5_000_000).collect(), StorageType::Inline),
        (scattered.collect(), StorageType::UuidRelativePath),
    ] {
        let written = rows.write(&url(), &store, &folder).await.unwrap();
        assert_eq!(written.storage_type, kept);
        assert_eq!(written.cardinality as u64, rows.len());
        let found = read(&store, written.clone()).await.unwrap();
        assert_eq!((&found, found.stored()), (&rows, Some(&written)));
    }
}

#[tokio::test]
async fn files_of_other_writers() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    // two in one file, below a prefix
    let all: Vec<_> = [vec![1, 2], vec![7]].map(DeletionVector::from_iter).into();
    let mut file = vec![1];
    let mut found = Vec::new();
    let id = Uuid::new_v4();
    for rows in &all {
        let bytes = rows.encoded().unwrap();
        found.push(DeletionVectorDescriptor {
            storage_type: StorageType::UuidRelativePath,
            path_or_inline_dv: format!("ab{}", z85::encode(id.as_bytes())),
            offset: Some(file.len() as i32),
            size_in_bytes: bytes.len() as i32,
            cardinality: rows.len() as i64,
        });
        file.extend(&framed(&bytes, bytes.len() as i32)[1..]);
    }
    let name = file_name(&id);
    assert!(is_vector_file(&name) && !is_vector_file("deletion_vector_mine.bin"));
    let path = Path::from(format!("lake/t/ab/{name}"));
    store.put(&path, file.clone().into()).await.unwrap();
    for (rows, descriptor) in all.iter().zip(&found) {
        assert_eq!(&read(&store, descriptor.clone()).await.unwrap(), rows);
    }
    let at = |path: &str| DeletionVectorDescriptor {
        storage_type: StorageType::AbsolutePath,
        path_or_inline_dv: path.to_owned(),
        ..found[1].clone()
    };
    let absolute = at(&format!("memory:///lake/t/ab/{name}"));
    assert_eq!(read(&store, absolute).await.unwrap(), all[1]);
    for outside in ["memory:///lake/other/x.bin", "memory:///lake/tt/x.bin", "x"] {
        let error = read(&store, at(outside)).await.unwrap_err();
        assert!(error.to_string().contains("outside"), "{error}");
    }
    let last = file.len() - 6;
    file[last] ^= 1;
    store.put(&path, file.into()).await.unwrap();
    let error = read(&store, found[1].clone()).await.unwrap_err();
    assert!(error.to_string().contains("is damaged"), "{error}");
}
